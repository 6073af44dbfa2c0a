import { resolve } from 'node:path';
import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { applyEdit, type EditOptions, editCommand } from '../config/edit.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { readTextFile } from '../input-file.js';

interface SetOptions extends EditOptions {
  type?: string;
  valueFile?: string;
}

const SET_EXAMPLES = `
Without a value it is read from stdin, or asked for without showing it: so a secret is in no history.

Examples:
  malabar config set shop /redis.conf DEFAULT timeout 300ms --type time.Duration
  malabar config set shop /redis.conf web-1 port 6380 --publish -m 'moved'
  malabar config set shop /redis.conf DEFAULT password --type secret
  malabar config set shop /tls.conf DEFAULT key --type secret --value-file key.pem`;

/** `malabar config set`: one value. */
export function setCommand(context: CommandContext): Command {
  return editCommand('set')
    .description('set a value; makes file, section and key if they are missing')
    .argument('<domain>', 'the domain')
    .argument('<file>', 'the file, e.g. /redis.conf')
    .argument('<section>', 'DEFAULT, or the section of a node')
    .argument('<key>', 'the key')
    .argument('[value]', 'the value as text, e.g. 1,2,3')
    .option('--type <type>', 'the type (default: the one it has; a new key is a string)')
    .option('--value-file <file>', 'read the value from this file')
    .addHelpText('after', SET_EXAMPLES)
    .action(async (...args: [...Place, value: string | undefined, options: SetOptions]) => {
      const [domain, file, section, key, value, options] = args;
      const raw = await readValue(context, { key, value, file: options.valueFile });
      const setKey = { file, section, key, type: options.type ?? '', raw };
      await applyEdit(context, options, { domain, operations: [operation('setKey', setKey)] });
    });
}

type Place = [domain: string, file: string, section: string, key: string];

async function readValue(
  { terminal, cwd }: CommandContext,
  given: { key: string; value: string | undefined; file: string | undefined },
): Promise<string> {
  const { key, value, file } = given;
  if (value !== undefined && file !== undefined) {
    throw new CommandError(EXIT.usage, 'a value and --value-file exclude each other');
  }
  if (value !== undefined) return value;
  if (file !== undefined) return withoutLineEnd(readTextFile(resolve(cwd, file)));
  if (terminal.interactive) return terminal.ask(`${key}: `, true);
  return withoutLineEnd((await terminal.read()).toString());
}

// Editors and `echo` end a text with a newline that nobody means as part of the value.
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** `malabar config unset`: takes a key, or a whole file, away. */
export function unsetCommand(context: CommandContext): Command {
  return editCommand('unset')
    .description('take a key away; without section and key the whole file')
    .argument('<domain>', 'the domain')
    .argument('<file>', 'the file')
    .argument('[section]', 'the section')
    .argument('[key]', 'the key')
    .addHelpText(
      'after',
      `
Examples:
  malabar config unset shop /redis.conf web-1 port
  malabar config unset shop /old.conf --publish -m 'nobody reads it'`,
    )
    .action((...args: [string, string, string | undefined, string | undefined, EditOptions]) => {
      const [domain, file, section, key, options] = args;
      if (section !== undefined && key === undefined) {
        throw new CommandError(EXIT.usage, 'a section alone cannot go', 'name a key of it');
      }
      const removal =
        section !== undefined && key !== undefined
          ? operation('deleteKey', { file, section, key })
          : operation('deleteFile', { path: file });
      return applyEdit(context, options, { domain, operations: [removal] });
    });
}

/** `malabar config schema`: what the values of a file must keep to. */
export function schemaCommand(context: CommandContext): Command {
  return editCommand('schema')
    .description('bind a schema to a file; without one take it away (docs/keeper.md)')
    .argument('<domain>', 'the domain')
    .argument('<file>', 'the file')
    .argument('[schema]', 'JSON file with the schema')
    .addHelpText(
      'after',
      `
Examples:
  malabar config schema shop /redis.conf redis.schema.json
  malabar config schema shop /redis.conf`,
    )
    .action((domain: string, file: string, from: string | undefined, options: EditOptions) => {
      const schema = from === undefined ? '' : readTextFile(resolve(context.cwd, from));
      const operations = [operation('setSchema', { file, schema })];
      return applyEdit(context, options, { domain, operations });
    });
}

/** `malabar config parent`: whose DEFAULT a file inherits. */
export function parentCommand(context: CommandContext): Command {
  return editCommand('parent')
    .description('inherit from this file, instead of from those of the same name in folders above')
    .argument('<domain>', 'the domain')
    .argument('<file>', 'the file')
    .argument('[parent]', 'the file to inherit from; none for the folders above')
    .addHelpText(
      'after',
      `
Examples:
  malabar config parent shop /redis/cache.conf /redis/base.conf
  malabar config parent shop /redis/cache.conf`,
    )
    .action((domain: string, file: string, parent: string | undefined, options: EditOptions) => {
      const operations = [operation('setParent', { file, parent: parent ?? '' })];
      return applyEdit(context, options, { domain, operations });
    });
}

type Change = NonNullable<config.Operation['operation']>;

function operation<C extends Change['$case']>(
  $case: C,
  value: Extract<Change, { $case: C }>['value'],
): config.Operation {
  return { operation: { $case, value } as Change };
}
