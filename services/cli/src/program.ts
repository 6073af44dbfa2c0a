import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { CommandContext } from './context.js';
import { EXIT, type ExitCode } from './exit.js';
import { failureOf } from './failure.js';

const EPILOGUE = `
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 bus unreachable, 4 not found,
5 not allowed, 6 refused for now (docs/errors.md).

Examples:
  malabar start                              run the bus, everything in one process
  malabar push order_paid '{"order":"FB138"}'
  malabar queues
  malabar doctor`;

type Create = (context: CommandContext) => Command;

/** Loaded when it is used: `malabar queues` need not read what `malabar start` runs. */
const COMMANDS: Record<string, () => Promise<Create>> = {
  start: async () => (await import('./commands/start.js')).startCommand,
  push: async () => (await import('./commands/push.js')).pushCommand,
  event: async () => (await import('./commands/event.js')).eventCommand,
  queues: async () => (await import('./commands/queues.js')).queuesCommand,
  jobs: async () => (await import('./commands/jobs.js')).jobsCommand,
  batches: async () => (await import('./commands/batches.js')).batchesCommand,
  schedules: async () => (await import('./commands/schedules.js')).schedulesCommand,
  sources: async () => (await import('./commands/sources.js')).sourcesCommand,
  runs: async () => (await import('./commands/runs.js')).runsCommand,
  dispatchers: async () => (await import('./commands/dispatchers.js')).dispatchersCommand,
  config: async () => (await import('./commands/config.js')).configCommand,
  agent: async () => (await import('./commands/agent.js')).agentCommand,
  services: async () => (await import('./commands/services.js')).servicesCommand,
  migrate: async () => (await import('./commands/migrate.js')).migrateCommand,
  verify: async () => (await import('./commands/verify.js')).verifyCommand,
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand,
  login: async () => (await import('./commands/login.js')).loginCommand,
  logout: async () => (await import('./commands/login.js')).logoutCommand,
  whoami: async () => (await import('./commands/login.js')).whoamiCommand,
  users: async () => (await import('./commands/users.js')).usersCommand,
  tokens: async () => (await import('./commands/tokens.js')).tokensCommand,
  demo: async () => (await import('./commands/demo.js')).demoCommand,
};

/** The command `name`, or all of them where there is none of that name. */
export async function createProgram(context: CommandContext, name = ''): Promise<Command> {
  const program = new Command('malabar')
    .description(
      'Malabar, a task bus: push with any Redis client, delivered to PHP, HTTP and gRPC.',
    )
    .version(version(), '--version', 'print the version')
    .addHelpText('after', EPILOGUE);
  const load = Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]] : Object.values(COMMANDS);
  for (const create of load) if (create) program.addCommand((await create())(context));
  settle(program, context);
  return program;
}

/** Runs one command line (without node and script) and returns the code to exit with. */
export async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  try {
    const program = await createProgram(context, args[0]);
    await program.parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    const { exitCode, line } = failureOf(error);
    for (const text of line) context.terminal.note(text);
    return exitCode;
  }
}

/** Errors come back as exceptions, and every level writes through the context's terminal. */
function settle(command: Command, context: CommandContext): void {
  const { terminal } = context;
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.line(text.trimEnd()),
    writeErr: () => {},
    outputError: () => {},
  });
  for (const child of command.commands) settle(child, context);
}

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
