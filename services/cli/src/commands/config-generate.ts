import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { generate, LANGUAGES, type Language } from '@malabar/typed-config';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { getFiles } from '../config/files.js';
import { parseState, STATES } from '../config/state-ref.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { plural } from '../format.js';

interface GenerateOptions extends ClientOptions {
  lang: string;
  domain: string;
  out: string;
  package?: string;
  state: string;
}

const EXAMPLES = `
Files of one base name become one struct, as gokeeper-cli made it; a field for each key.

Examples:
  malabar config generate --lang ts --domain shop --out src/config
  malabar config generate --lang go --domain shop --out data --package data`;

/** `malabar config generate`: typed access for a program. */
export function generateCommand(context: CommandContext): Command {
  return clientCommand('generate')
    .description('write code that reads the values of a domain with their types')
    .requiredOption('--lang <language>', LANGUAGES.join(', '))
    .requiredOption('--domain <domain>', 'the domain')
    .requiredOption('--out <folder>', 'where to; made if it is not there')
    .option('--package <name>', "Go's package (default: data), PHP's namespace (default: Config)")
    .option('--state <state>', STATES, 'current')
    .addHelpText('after', EXAMPLES)
    .action((options: GenerateOptions) => {
      const language = languageOf(options.lang);
      return withConfig(options, context, async (access) => {
        const state = parseState(options.state);
        const { files, release } = await getFiles(access, { domain: options.domain, state });
        const code = generate(language, files, { package: options.package });
        const folder = resolve(context.cwd, options.out);
        const written = code.map(({ path, text }) => writeCode(join(folder, path), text));
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ release, written }));
        else
          terminal.line(
            `${plural(written.length, 'file')} of release ${release} in ${options.out}`,
          );
      });
    });
}

function languageOf(text: string): Language {
  const language = LANGUAGES.find((each) => each === text);
  if (language) return language;
  throw new CommandError(EXIT.usage, `--lang: '${text}' is none of ${LANGUAGES.join(', ')}`);
}

function writeCode(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
