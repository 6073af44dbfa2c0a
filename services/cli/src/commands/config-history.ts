import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption } from '../client-command.js';
import { canaryText } from '../config/canary-rule.js';
import { changeJson, changeLines } from '../config/changes.js';
import { getDomain, withConfig } from '../config/domain.js';
import { releaseJson, releaseState } from '../config/release.js';
import type { CommandContext } from '../context.js';
import { firstLine, formatTime } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

interface HistoryOptions extends ClientOptions {
  limit: string;
  before: string;
}

/** `malabar config history`: the releases of a domain. */
export function historyCommand(context: CommandContext): Command {
  return clientCommand('history')
    .description('list the releases of a domain, newest first')
    .argument('<domain>', 'the domain')
    .option('--limit <n>', 'releases in a page, up to 1000', '20')
    .option('--before <release>', 'only those below', '0')
    .addHelpText(
      'after',
      '\nExamples:\n  malabar config history shop\n  malabar config history shop --before 100 --json',
    )
    .action((name: string, options: HistoryOptions) =>
      withConfig(options, context, async (access) => {
        const request = {
          domain: name,
          before: countOption('--before', options.before, 0, Number.MAX_SAFE_INTEGER),
          limit: countOption('--limit', options.limit, 1, 1000),
        };
        const { service, timeoutMs } = access;
        const { release: current } = await getDomain(access, name);
        const { releases } = await service.listReleases(request, { timeoutMs });
        const { terminal } = context;
        if (options.json) {
          terminal.line(JSON.stringify({ current, releases: releases.map(releaseJson) }));
        } else {
          printReleases(terminal, releases, current);
        }
      }),
    );
}

function printReleases(
  terminal: Terminal,
  releases: readonly config.Release[],
  current: number,
): void {
  const columns = [
    { title: 'RELEASE', right: true },
    { title: 'STATE' },
    { title: 'TIME' },
    { title: 'BY' },
    { title: 'KEYS', right: true },
    { title: 'NOTE' },
  ];
  const rows = releases.map((release) => [
    String(release.number),
    release.number === current ? terminal.style('green', 'in force') : stateCell(release),
    formatTime(release.atMs),
    release.author,
    String(release.keys),
    [origin(release), firstLine(release.note, 80)].filter(Boolean).join(' '),
  ]);
  printTable(terminal, columns, rows);
}

function stateCell(release: config.Release): string {
  const state = releaseState(release);
  return state === 'canary' ? `canary for ${canaryText(release.canary)}` : state;
}

function origin({ restores, editors, author }: config.Release): string {
  if (restores > 0) return `(restores ${restores})`;
  const others = editors.filter((editor) => editor !== author);
  return others.length > 0 ? `(edited by ${others.join(', ')})` : '';
}

interface AuditOptions extends ClientOptions {
  limit: string;
  cursor?: string;
  changes?: boolean;
}

/** `malabar config audit`: who wrote what. */
export function auditCommand(context: CommandContext): Command {
  return clientCommand('audit')
    .description('list who wrote what, from where, newest first')
    .argument('[domain]', 'only this domain')
    .option('--limit <n>', 'entries in a page, up to 1000', '20')
    .option('--cursor <text>', 'go on where the page before ended')
    .option('--changes', 'show what changed; secrets are masked')
    .addHelpText(
      'after',
      '\nExamples:\n  malabar config audit shop --changes\n  malabar config audit --limit 100 --json',
    )
    .action((domain: string | undefined, options: AuditOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const request = {
          domain: domain ?? '',
          cursor: options.cursor ?? '',
          limit: countOption('--limit', options.limit, 1, 1000),
        };
        const { entries, cursor } = await service.listAudit(request, { timeoutMs });
        const { terminal } = context;
        if (options.json) {
          const list = entries.map((each) => ({ ...each, changes: each.changes.map(changeJson) }));
          terminal.line(JSON.stringify({ entries: list, cursor }));
          return;
        }
        if (options.changes) for (const entry of entries) printEntry(terminal, entry);
        else printEntries(terminal, entries);
        if (cursor) terminal.note(`More: repeat with --cursor ${cursor}`);
      }),
    );
}

function printEntries(terminal: Terminal, entries: readonly config.AuditEntry[]): void {
  const columns = [
    { title: 'TIME' },
    { title: 'WHO' },
    { title: 'FROM' },
    { title: 'DOMAIN' },
    { title: 'DID' },
    { title: 'RELEASE', right: true },
    { title: 'CHANGES', right: true },
    { title: 'NOTE' },
  ];
  const rows = entries.map((entry) => [
    formatTime(entry.atMs),
    entry.author,
    entry.from,
    entry.domain,
    entry.action,
    entry.release === 0 ? '' : String(entry.release),
    entry.changesTotal === 0 ? '' : String(entry.changesTotal),
    firstLine(entry.note, 80),
  ]);
  printTable(terminal, columns, rows);
}

function printEntry(terminal: Terminal, entry: config.AuditEntry): void {
  const { atMs, author, from, domain, action, release, note, changes, changesTotal } = entry;
  const what = [action, domain, release > 0 ? `release ${release}` : '', note].filter(Boolean);
  const line = `${formatTime(atMs)}  ${author} from ${from}: ${what.join(' ')}`;
  terminal.line(terminal.style('bold', line));
  for (const each of changeLines(terminal, changes)) terminal.line(each);
  const more = changesTotal - changes.length;
  if (more > 0) terminal.line(terminal.style('dim', `... and ${more} more`));
}
