import { loadConfig } from '@malabar/config';
import type { ServiceName } from '@malabar/core';
import { type Module, start } from '@malabar/runtime';
import { Command } from 'commander';
import { defaultFile } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { assertFree, listenersOf } from '../listeners.js';
import { modules } from '../module.js';
import { collect, settingFlags } from '../settings.js';

interface StartOptions {
  config?: string;
  set: string[];
}

const NAMES = modules.map(({ name }) => name);

const EXAMPLES = `
Services: ${NAMES.join(', ')}.
SIGINT and SIGTERM drain: no new jobs are taken, running deliveries end or go back. A second
signal ends the process at once; nothing accepted is lost.

Examples:
  malabar start                                  everything in one process
  malabar start --config malabar.yaml --set log.level=debug
  malabar start ingest dispatcher                two services; the others run elsewhere`;

export function startCommand(context: CommandContext): Command {
  return new Command('start')
    .description('run services in this process until a signal (default: all)')
    .argument('[services...]', 'which services')
    .option('--config <file>', 'configuration (default: malabar.yaml in the working directory)')
    .option('--set <key=value>', 'override one setting; may be repeated', collect, [])
    .addHelpText('after', EXAMPLES)
    .action(async (services: string[], options: StartOptions) => {
      const chosen = chooseModules(services);
      const file = options.config ?? defaultFile(context.cwd);
      const config = loadConfig({ file, env: context.env, flags: settingFlags(options.set) });
      const names = chosen.map(({ name }) => name);
      await assertFree(listenersOf(config, names));
      const stopped = context.untilStopped();
      const running = await start({ modules: chosen, config, configFile: file });
      await stopped;
      await running.stop();
    });
}

/** The modules of these names; all for none. Throws for a name that is none. */
function chooseModules(names: readonly string[]): readonly Module[] {
  const unknown = names.filter((name) => !NAMES.includes(name as ServiceName));
  if (unknown.length > 0) {
    throw new CommandError(
      EXIT.usage,
      `no service '${unknown[0]}'`,
      `choose from ${NAMES.join(', ')}`,
    );
  }
  return names.length === 0 ? modules : modules.filter(({ name }) => names.includes(name));
}
