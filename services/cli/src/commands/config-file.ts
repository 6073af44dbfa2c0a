import {
  createPasswordHashes,
  documentsToFiles,
  loadConfig,
  maskConfig,
  printConfig,
  readConfig,
} from '@malabar/config';
import { hashPassword } from '@malabar/core';
import { Command } from 'commander';
import { defaultFile } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { plural } from '../format.js';
import { upcomingFires } from '../schedules/upcoming.js';
import { collect, settingFlags } from '../settings.js';

/** `malabar config check`: reads a file as the keeper would. */
export function checkCommand(context: CommandContext): Command {
  return new Command('check')
    .description('check a configuration file; every fault is one line, exit code 2')
    .argument('[file]', 'the file (default: malabar.yaml in the working directory)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  malabar config check /etc/malabar/malabar.yaml')
    .action((file: string | undefined, { json }: { json?: boolean }) => check(context, file, json));
}

async function check(
  { cwd, env, terminal, clock }: CommandContext,
  named: string | undefined,
  json = false,
): Promise<void> {
  const file = named ?? defaultFile(cwd);
  if (!file) throw new CommandError(EXIT.usage, 'no malabar.yaml here', 'name the file');
  const loaded = readConfig({ file, env });
  // Reads the secrets too.
  await documentsToFiles(loaded, { env, hashes: createPasswordHashes() });
  const queues = Object.values(loaded.config.documents.queues);
  const topics = queues.reduce((sum, queue) => sum + Object.keys(queue.topics).length, 0);
  const schedules = upcomingFires(loaded.config.documents.schedules, clock.now());
  if (json) {
    const fires = Object.fromEntries(schedules.map(({ name, times }) => [name, times]));
    terminal.line(JSON.stringify({ file, queues: queues.length, topics, schedules: fires }));
    return;
  }
  const counts = [plural(queues.length, 'queue'), plural(topics, 'topic')];
  if (schedules.length > 0) counts.push(plural(schedules.length, 'schedule'));
  terminal.line(`${file}: ok, ${counts.join(', ')}`);
  for (const { name, times, note } of schedules)
    terminal.line(`  ${name}: ${[...times, note].filter(Boolean).join(', ')}`);
}

/** `malabar config show`: what is in force in a process. */
export function showCommand(context: CommandContext): Command {
  return new Command('show')
    .description(
      'print the effective configuration: defaults, file, environment, flags; secrets masked',
    )
    .option('--config <file>', 'the file (default: malabar.yaml in the working directory)')
    .option('--set <key=value>', 'override one setting; may be repeated', collect, [])
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  malabar config show --set log.level=debug')
    .action((options: { config?: string; set: string[]; json?: boolean }) => {
      const file = options.config ?? defaultFile(context.cwd);
      const config = loadConfig({ file, env: context.env, flags: settingFlags(options.set) });
      const { terminal } = context;
      terminal.line(options.json ? JSON.stringify(maskConfig(config)) : printConfig(config));
    });
}

/** `malabar config hash-password`. */
export function hashCommand(context: CommandContext): Command {
  return new Command('hash-password')
    .description(
      'hash a password for malabar.yaml; reads it from stdin, so that no history keeps it',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  malabar config hash-password\n  pass show bus | malabar config hash-password',
    )
    .action(async () => {
      const { terminal } = context;
      const text = terminal.interactive
        ? await terminal.ask('Password: ', true)
        : (await terminal.read()).toString().replace(/\r?\n$/, '');
      if (text === '') throw new CommandError(EXIT.usage, 'the password is empty');
      terminal.line(await hashPassword(text));
    });
}
