import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { formatIni } from '@malabar/typed-config';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { getFiles } from '../config/files.js';
import { parseState, STATES } from '../config/state-ref.js';
import { readSubscription } from '../config/subscription.js';
import type { CommandContext } from '../context.js';
import { plural } from '../format.js';
import { collect } from '../settings.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

interface GetOptions extends ClientOptions {
  state: string;
  reveal?: boolean;
}

const GET_EXAMPLES = `
A key alone is printed as it is, for scripts. Secrets are ****** unless you say --reveal.

Examples:
  malabar config get shop
  malabar config get shop /redis.conf
  malabar config get shop /redis.conf web-1 timeout --state draft`;

/** `malabar config get`: files, a file, a section or one value, as they are written. */
export function getCommand(context: CommandContext): Command {
  return clientCommand('get')
    .description('show the files of a domain, one file, a section of it, or one value')
    .argument('<domain>', 'the domain')
    .argument('[file]', 'the file')
    .argument('[section]', 'the section')
    .argument('[key]', 'the key')
    .option('--state <state>', STATES, 'current')
    .option('--reveal', 'secrets as they are; audited')
    .addHelpText('after', GET_EXAMPLES)
    .action((...args: [domain: string, path: Maybe, section: Maybe, key: Maybe, GetOptions]) => {
      const [domain, path, section, key, options] = args;
      return withConfig(options, context, async (access) => {
        const { reveal } = options;
        const state = parseState(options.state);
        const { files, release } = await getFiles(access, { domain, state, path, reveal });
        const found = narrowed(files, section, key);
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ release, files: found }));
        else printFiles(terminal, found, { path, key });
      });
    });
}

type Maybe = string | undefined;

/** What of the files has this section and this key; an error if none has. */
function narrowed(
  files: readonly config.ConfigFile[],
  section: string | undefined,
  key: string | undefined,
): config.ConfigFile[] {
  if (section === undefined) return [...files];
  const found = files.flatMap((file) => {
    const sections = file.sections.flatMap((each) => {
      const entries = each.entries.filter((entry) => key === undefined || entry.key === key);
      return each.name === section && entries.length > 0 ? [{ ...each, entries }] : [];
    });
    return sections.length > 0 ? [{ ...file, sections }] : [];
  });
  if (found.length > 0) return found;
  const what = key === undefined ? `section [${section}]` : `[${section}] ${key}`;
  throw new BusError('NOT_FOUND', `${files[0]?.path ?? 'the domain'} has no ${what}`);
}

function printFiles(
  terminal: Terminal,
  files: readonly config.ConfigFile[],
  { path, key }: { path: string | undefined; key: string | undefined },
): void {
  if (key !== undefined) terminal.line(files[0]?.sections[0]?.entries[0]?.raw ?? '');
  else if (path !== undefined) for (const file of files) terminal.line(formatIni(file).trimEnd());
  else if (files.length === 0) terminal.line('No file is there.');
  else printList(terminal, files);
}

function printList(terminal: Terminal, files: readonly config.ConfigFile[]): void {
  const columns = [
    { title: 'FILE' },
    { title: 'SECTIONS', right: true },
    { title: 'KEYS', right: true },
    { title: 'INHERITS' },
    { title: 'SCHEMA' },
  ];
  const rows = files.map(({ path, sections, parent, schema }) => [
    path,
    String(sections.length),
    String(sections.reduce((sum, { entries }) => sum + entries.length, 0)),
    parent,
    schema === '' ? '' : 'yes',
  ]);
  printTable(terminal, columns, rows);
}

interface EffectiveOptions extends ClientOptions {
  node?: string;
  subscribe: string[];
  state: string;
}

/** `malabar config effective`: what a node gets, and from where. */
export function effectiveCommand(context: CommandContext): Command {
  return clientCommand('effective')
    .description('show what a node gets, and from which file and section each value comes')
    .argument('<domain>', 'the domain')
    .requiredOption(
      '--subscribe <file[/section]>',
      'what the node subscribes to; may be repeated, the later one wins',
      collect,
      [],
    )
    .option('--node <id>', 'the node: sections of its name override')
    .option('--state <state>', STATES, 'current')
    .addHelpText(
      'after',
      `
Examples:
  malabar config effective shop --node web-1 --subscribe /redis.conf
  malabar config effective shop --subscribe /zy/global.conf/blue --state draft`,
    )
    .action((domain: string, options: EffectiveOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const request = {
          domain,
          state: parseState(options.state),
          nodeId: options.node ?? '',
          subscriptions: options.subscribe.map(readSubscription),
        };
        const { config: found } = await service.getEffective(request, { timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify(found));
        else printEffective(terminal, found?.files ?? [], found?.release ?? 0);
      }),
    );
}

function printEffective(
  terminal: Terminal,
  files: readonly config.EffectiveFile[],
  release: number,
): void {
  const columns = ['NAME', 'KEY', 'TYPE', 'VALUE', 'FROM'].map((title) => ({ title }));
  const rows = files.flatMap(({ name, values }) =>
    values.map(({ key, type, raw, file, section }) => [
      name,
      key,
      type,
      raw.includes('\n') ? JSON.stringify(raw) : raw,
      `${file} [${section}]`,
    ]),
  );
  printTable(terminal, columns, rows);
  terminal.note(`${plural(rows.length, 'value')} of release ${release}`);
}
