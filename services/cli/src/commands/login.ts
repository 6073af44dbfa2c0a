import { roleName } from '@malabar/access';
import { access } from '@malabar/contracts';
import { BusError, isLoopback, parseListenAddress } from '@malabar/core';
import { connect } from '@malabar/rpc';
import type { Command } from 'commander';
import {
  addressesOf,
  type ClientOptions,
  clientCommand,
  durationOption,
  readSettings,
  withBus,
} from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { formatTime } from '../format.js';
import { readPassword } from '../password-input.js';
import { keepSession, sessionOf } from '../sessions.js';

interface LoginOptions extends ClientOptions {
  user?: string;
  passwordFile?: string;
}

const EXAMPLES = `
The session is kept for this address, readable for you only, and ends after 12 hours.

Examples:
  malabar login --user ann
  malabar login --user ann --password-file ./password --address keeper.internal:7401
  pass malabar | malabar login --user ann`;

/** `malabar login`: the commands that follow are this user's. */
export function loginCommand(context: CommandContext): Command {
  return clientCommand('login')
    .description('log in: the commands that follow are run as this user')
    .option('--user <name>', 'who (default: asked)')
    .option('--password-file <file>', 'read the password from here; - for stdin')
    .addHelpText('after', EXAMPLES)
    .action((options: LoginOptions) => login(context, options));
}

async function login(context: CommandContext, options: LoginOptions): Promise<void> {
  const { terminal } = context;
  const user = options.user ?? (await askUser(context));
  const password = await readPassword(context, options, { question: `Password of ${user}: ` });
  const { address, answer } = await tryAddresses(context, options, { user, password });
  const { token, expiresAtMs } = answer;
  keepSession(context, address, { user, token, expiresAtMs });
  if (options.json) terminal.line(JSON.stringify({ address, user, expiresAtMs }));
  else terminal.line(`logged in at ${address} as ${user} until ${formatTime(expiresAtMs)}`);
}

async function askUser({ terminal }: CommandContext): Promise<string> {
  const user = terminal.interactive ? (await terminal.ask('User: ')).trim() : '';
  if (user !== '') return user;
  throw new CommandError(EXIT.usage, 'who logs in is not said', 'name the user with --user');
}

/** The first keeper that answers decides. */
async function tryAddresses(
  context: CommandContext,
  options: ClientOptions,
  request: access.LoginRequest,
): Promise<{ address: string; answer: access.LoginResponse }> {
  const timeoutMs = durationOption('--timeout', options.timeout);
  const { tls } = readSettings(options, context).grpc;
  const addresses = addressesOf(options, context);
  for (const address of addresses) {
    if (tls === undefined && !isLoopback(parseListenAddress(address).host)) {
      context.terminal.note(`malabar: the password goes to ${address} unencrypted: no grpc.tls`);
    }
    const client = connect(access.AccessServiceDefinition, { address, tls });
    try {
      return { address, answer: await client.login(request, { timeoutMs }) };
    } catch (error) {
      const code = error instanceof BusError ? error.code : 'INTERNAL';
      if (code === 'WRONG_PASSWORD') {
        throw new CommandError(EXIT.notAllowed, (error as BusError).message);
      }
      if (!['UNAVAILABLE', 'TIMEOUT', 'UNSUPPORTED'].includes(code)) throw error;
    } finally {
      client.close();
    }
  }
  throw new CommandError(
    EXIT.unreachable,
    `no keeper answers at ${addresses.join(' or ')}`,
    'name its address with --address or MALABAR_ADDRESS',
  );
}

/** `malabar logout`: forgets the session. */
export function logoutCommand(context: CommandContext): Command {
  return clientCommand('logout')
    .description('forget the session of `malabar login`')
    .addHelpText('after', '\nExamples:\n  malabar logout')
    .action((options: ClientOptions) => {
      const known = addressesOf(options, context).filter((each) => sessionOf(context, each));
      for (const address of known) keepSession(context, address, undefined);
      const { terminal } = context;
      if (options.json) terminal.line(JSON.stringify({ addresses: known }));
      else if (known.length === 0) terminal.line('nobody was logged in');
      else terminal.line(`logged out at ${known.join(' and ')}`);
    });
}

/** `malabar whoami`: whom the bus takes the caller for. */
export function whoamiCommand(context: CommandContext): Command {
  return clientCommand('whoami')
    .description('show whom the bus takes you for and what you may do')
    .addHelpText(
      'after',
      '\nExamples:\n  malabar whoami\n  MALABAR_TOKEN=... malabar whoami --json',
    )
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { name, grants, expiresAtMs } = await bus.client('access').whoAmI({}, { timeoutMs });
        const { terminal } = context;
        const rights = grants.map(({ system, role }) => `${system}:${roleName(role)}`);
        if (options.json) terminal.line(JSON.stringify({ name, grants: rights, expiresAtMs }));
        else {
          const until = expiresAtMs === 0 ? '' : `, until ${formatTime(expiresAtMs)}`;
          terminal.line(`${name}: ${rights.join(' ') || 'no rights'}${until}`);
        }
      }),
    );
}
