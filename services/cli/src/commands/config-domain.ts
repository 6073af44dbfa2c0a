import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption } from '../client-command.js';
import { canaryText } from '../config/canary-rule.js';
import { type ConfigAccess, getDomain, withConfig } from '../config/domain.js';
import { draftText } from '../config/release.js';
import { type Confirmation, confirm } from '../confirm.js';
import type { CommandContext } from '../context.js';
import { formatTime, plural } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

/** `malabar config domains`: every domain and what it is at. */
export function domainsCommand(context: CommandContext): Command {
  return clientCommand('domains')
    .description('list the domains that you may see')
    .addHelpText('after', '\nExamples:\n  malabar config domains\n  malabar config domains --json')
    .action((options: ClientOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const { domains } = await service.listDomains({}, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ domains }));
        else printDomains(context.terminal, domains);
      }),
    );
}

function printDomains(terminal: Terminal, domains: readonly config.Domain[]): void {
  const columns = [
    { title: 'DOMAIN' },
    { title: 'RELEASE', right: true },
    { title: 'CANARY' },
    { title: 'DRAFT' },
    { title: 'SYSTEM' },
    { title: 'DESCRIPTION' },
  ];
  const rows = domains.map(({ name, release, canary, draft, settings }) => [
    name,
    release === 0 ? '-' : String(release),
    canary ? `release ${canary.release}: ${canaryText(canary.rule)}` : '',
    draft ? `by ${draft.authors.join(', ')}` : '',
    settings?.system ?? '',
    settings?.description ?? '',
  ]);
  printTable(terminal, columns, rows);
}

interface DomainOptions extends ClientOptions {
  create?: boolean;
  system?: string;
  description?: string;
  fourEyes?: boolean;
  history?: string;
}

const EXAMPLES = `
Examples:
  malabar config domain shop --create --system shop --description 'the web shop'
  malabar config domain shop --four-eyes --history 200
  malabar config domain shop`;

/** `malabar config domain`: shows, makes or changes one. */
export function domainCommand(context: CommandContext): Command {
  return clientCommand('domain')
    .description('show a domain; with --create make it, with the other options change it')
    .argument('<domain>', 'its name')
    .option('--create', 'make it; refused if it exists')
    .option('--system <name>', 'the business system whose people have rights here')
    .option('--description <text>', 'what it is for')
    .option('--four-eyes', 'whoever edited a draft may not publish it')
    .option('--no-four-eyes', 'the author may publish')
    .option('--history <releases>', "releases that stay restorable; 0 for the keeper's own number")
    .addHelpText('after', EXAMPLES)
    .action((name: string, options: DomainOptions) =>
      withConfig(options, context, async (access) => {
        const domain = await settle(access, name, options);
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ domain }));
        else printDomain(terminal, domain);
      }),
    );
}

async function settle(
  access: ConfigAccess,
  name: string,
  options: DomainOptions,
): Promise<config.Domain> {
  const wanted = wantedSettings(options);
  if (options.create) return putDomain(access, name, { ...NOTHING, ...wanted }, 0);
  const domain = await getDomain(access, name);
  if (Object.keys(wanted).length === 0) return domain;
  const settings = { ...NOTHING, ...domain.settings, ...wanted };
  return putDomain(access, name, settings, domain.settingsRevision);
}

const NOTHING: config.DomainSettings = { system: '', description: '', fourEyes: false, history: 0 };

function wantedSettings(options: DomainOptions): Partial<config.DomainSettings> {
  const { system, description, fourEyes, history } = options;
  const wanted = {
    system,
    description,
    fourEyes,
    history: history === undefined ? undefined : countOption('--history', history, 0, 1_000_000),
  };
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
}

async function putDomain(
  { service, timeoutMs }: ConfigAccess,
  domain: string,
  settings: config.DomainSettings,
  settingsRevision: number,
): Promise<config.Domain> {
  const request = { domain, settings, settingsRevision };
  const answer = await service.putDomain(request, { timeoutMs });
  return answer.domain as config.Domain;
}

function printDomain(terminal: Terminal, domain: config.Domain): void {
  const { name, settings, release, canary, draft } = domain;
  const rows: [string, string][] = [
    ['domain', name],
    ['system', settings?.system || '-'],
    ['description', settings?.description || '-'],
    ['four eyes', settings?.fourEyes ? 'yes' : 'no'],
    ['history', settings?.history ? `${settings.history} releases` : "the keeper's own"],
    ['release', release === 0 ? 'none yet' : String(release)],
  ];
  if (canary) {
    const since = formatTime(canary.sinceMs);
    rows.push([
      'canary',
      `release ${canary.release} for ${canaryText(canary.rule)}, since ${since}`,
    ]);
  }
  if (draft) rows.push(['draft', `${draftText(draft)}, ${formatTime(draft.changedAtMs)}`]);
  for (const [key, value] of rows) terminal.line(`${key.padEnd(12)} ${value}`);
}

interface DeleteOptions extends ClientOptions {
  yes?: boolean;
}

/** `malabar config delete`: takes a domain away. */
export function deleteCommand(context: CommandContext): Command {
  return clientCommand('delete')
    .description('take a domain away with its history; the audit stays')
    .argument('<domain>', 'its name')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      '\nExamples:\n  malabar config delete shop\n  malabar config delete shop --yes',
    )
    .action((name: string, options: DeleteOptions) =>
      withConfig(options, context, async (access) => {
        const { release } = await getDomain(access, name);
        if (!options.yes) await confirm(context.terminal, deletion(name, release));
        const { service, timeoutMs } = access;
        await service.deleteDomain({ domain: name, expectedRelease: release }, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ domain: name, release }));
        else context.terminal.line(`${name}: deleted at release ${release}`);
      }),
    );
}

function deletion(name: string, release: number): Confirmation {
  return {
    consequence: `this takes '${name}' away`,
    question: `Take domain ${name} away, with its ${plural(release, 'release')}?`,
    refused: 'nothing was deleted',
  };
}
