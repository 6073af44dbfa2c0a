import { resolve } from 'node:path';
import type { config } from '@malabar/contracts';
import { formatIni, parseIni } from '@malabar/typed-config';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { applyEdit, type EditOptions, editCommand } from '../config/edit.js';
import { refuseFaults, type Sources } from '../config/faults.js';
import { getFiles } from '../config/files.js';
import { type IniText, readTree, writeTree } from '../config/ini-tree.js';
import { parseState, STATES } from '../config/state-ref.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { plural } from '../format.js';
import { printVerdict } from './config-draft.js';

interface ImportOptions extends EditOptions {
  dryRun?: boolean;
}

const IMPORT_EXAMPLES = `
A folder keeps its tree: conf/redis/master.conf of folder conf becomes /redis/master.conf. A file's
schema may lie beside it as master.conf.schema.json. Faults and warnings name file and line; with
a fault nothing is changed.

Examples:
  malabar config import shop conf
  malabar config import shop conf --dry-run
  malabar config import shop redis.conf mysql.conf --publish -m 'as gokeeper had it'`;

/** `malabar config import`: gokeeper's files into a domain. */
export function importCommand(context: CommandContext): Command {
  return editCommand('import')
    .description("read gokeeper's typed ini files into a domain")
    .argument('<domain>', 'the domain')
    .argument('<paths...>', 'files, or folders of .conf files')
    .option('--dry-run', 'only say what would change')
    .addHelpText('after', IMPORT_EXAMPLES)
    .action(async (domain: string, paths: string[], options: ImportOptions) => {
      const { texts, skipped } = readTree(context.cwd, paths);
      for (const each of skipped) context.terminal.note(`skipped: ${each} is no .conf file`);
      if (texts.length === 0) {
        throw new CommandError(EXIT.usage, `no .conf file in ${paths.join(', ')}`);
      }
      refuseFaults(texts.flatMap(({ source, text }) => parseIni(source, text).faults));
      const sources = new Map(texts.map(({ path, source }) => [path, source]));
      const edit = { domain, operations: texts.flatMap(operationsOf), sources };
      if (options.dryRun) await rehearse(context, options, edit);
      else await applyEdit(context, options, edit);
    });
}

function operationsOf({ path, text, schema }: IniText): config.Operation[] {
  const importFile = { $case: 'importFile', value: { path, text } } as const;
  if (schema === undefined) return [{ operation: importFile }];
  const setSchema = { $case: 'setSchema', value: { file: path, schema } } as const;
  return [{ operation: importFile }, { operation: setSchema }];
}

interface Rehearsal {
  domain: string;
  operations: config.Operation[];
  sources: Sources;
}

function rehearse(
  context: CommandContext,
  options: ClientOptions,
  { domain, operations, sources }: Rehearsal,
): Promise<void> {
  return withConfig(options, context, async ({ service, timeoutMs }) => {
    const request = { domain, operations, canary: undefined };
    const verdict = await service.validate(request, { timeoutMs });
    printVerdict(context, verdict, { json: options.json, sources });
  });
}

interface ExportOptions extends ClientOptions {
  state: string;
  reveal?: boolean;
}

const EXPORT_EXAMPLES = `
Secrets are ****** unless you say --reveal; importing ****** keeps the secret that is there. Which
file another one inherits from cannot be said in this format (\`malabar config parent\`).

Examples:
  malabar config export shop conf
  malabar config export shop backup --state 4 --reveal`;

/** `malabar config export`: a domain as gokeeper's files. */
export function exportCommand(context: CommandContext): Command {
  return clientCommand('export')
    .description("write a domain as gokeeper's typed ini files")
    .argument('<domain>', 'the domain')
    .argument('[folder]', 'where to (default: print them)')
    .option('--state <state>', STATES, 'current')
    .option('--reveal', 'secrets as they are; audited')
    .addHelpText('after', EXPORT_EXAMPLES)
    .action((domain: string, folder: string | undefined, options: ExportOptions) =>
      withConfig(options, context, async (access) => {
        const { reveal } = options;
        const state = parseState(options.state);
        const { files, release } = await getFiles(access, { domain, state, reveal });
        const { terminal } = context;
        if (folder === undefined) {
          if (options.json) terminal.line(JSON.stringify({ release, files }));
          else for (const file of files) terminal.line(`# ${file.path}\n${formatIni(file)}`);
          return;
        }
        const written = writeTree(resolve(context.cwd, folder), files);
        if (options.json) terminal.line(JSON.stringify({ release, written }));
        else terminal.line(`${plural(written.length, 'file')} of release ${release} in ${folder}`);
        noteParents(context, files);
      }),
    );
}

function noteParents({ terminal }: CommandContext, files: readonly config.ConfigFile[]): void {
  const named = files.filter(({ parent }) => parent !== '');
  for (const { path, parent } of named) terminal.note(`not written: ${path} inherits ${parent}`);
}
