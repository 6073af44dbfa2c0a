import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { agentCommand } from './commands/agent.js';
import { configCommand } from './commands/config.js';
import { demoCommand } from './commands/demo.js';
import { dispatchersCommand } from './commands/dispatchers.js';
import { doctorCommand } from './commands/doctor.js';
import { eventCommand } from './commands/event.js';
import { jobsCommand } from './commands/jobs.js';
import { loginCommand, logoutCommand, whoamiCommand } from './commands/login.js';
import { migrateCommand } from './commands/migrate.js';
import { pushCommand } from './commands/push.js';
import { queuesCommand } from './commands/queues.js';
import { runsCommand } from './commands/runs.js';
import { schedulesCommand } from './commands/schedules.js';
import { servicesCommand } from './commands/services.js';
import { startCommand } from './commands/start.js';
import { tokensCommand } from './commands/tokens.js';
import { usersCommand } from './commands/users.js';
import { verifyCommand } from './commands/verify.js';
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

/** The whole command. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('malabar')
    .description(
      'Malabar, a task bus: push with any Redis client, delivered to PHP, HTTP and gRPC.',
    )
    .version(version(), '--version', 'print the version')
    .addHelpText('after', EPILOGUE);
  const commands = [
    startCommand(context),
    pushCommand(context),
    eventCommand(context),
    queuesCommand(context),
    jobsCommand(context),
    schedulesCommand(context),
    runsCommand(context),
    dispatchersCommand(context),
    configCommand(context),
    agentCommand(context),
    servicesCommand(context),
    migrateCommand(context),
    verifyCommand(context),
    doctorCommand(context),
    loginCommand(context),
    logoutCommand(context),
    whoamiCommand(context),
    usersCommand(context),
    tokensCommand(context),
    demoCommand(context),
  ];
  for (const command of commands) program.addCommand(command);
  settle(program, context);
  return program;
}

/** Runs one command line (without node and script) and returns the code to exit with. */
export async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  try {
    await createProgram(context).parseAsync(args, { from: 'user' });
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
