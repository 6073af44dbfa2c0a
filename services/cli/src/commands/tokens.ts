import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { access } from '@malabar/contracts';
import { Command } from 'commander';
import { type ClientOptions, clientCommand, durationOption, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { formatTime } from '../format.js';
import { grantOptions, grantsText } from '../grant-option.js';
import { collect } from '../settings.js';
import { printTable } from '../table.js';

const GROUP_EXAMPLES = `
Examples:
  malabar tokens create --user nodes --note 'checkout nodes' --out /etc/shop/token
  malabar tokens list`;

/** `malabar tokens`: how programs come in. */
export function tokensCommand(context: CommandContext): Command {
  return new Command('tokens')
    .description('tokens for programs')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context))
    .addHelpText('after', GROUP_EXAMPLES);
}

interface CreateOptions extends ClientOptions {
  user?: string;
  note: string;
  grant: string[];
  expires?: string;
  out?: string;
}

const EXAMPLES = `
The token is shown now and never again. Programs send it as \`authorization: Bearer <token>\`; this
command takes it from MALABAR_TOKEN or --token-file. It can never do more than its user.

Examples:
  malabar tokens create --note 'CI of shop' --grant shop:developer --expires 90d --out ci.token
  malabar tokens create --user nodes --note 'checkout nodes' > /run/secrets/malabar`;

function createCommand(context: CommandContext): Command {
  return clientCommand('create')
    .description('make a token for a program')
    .option('--user <name>', 'whose it is (default: yours)')
    .option('--note <text>', 'what it is for', '')
    .option('--grant <system:role>', "a right (default: all of the user's)", collect, [])
    .option('--expires <duration>', 'how long it is good (default: for ever)')
    .option('--out <file>', 'write it here, readable for you only, instead of showing it')
    .addHelpText('after', EXAMPLES)
    .action((options: CreateOptions) => create(context, options));
}

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const { user = '', note, expires, out } = options;
  const grants = grantOptions(options.grant);
  const lastsMs = expires === undefined ? undefined : durationOption('--expires', expires);
  const expiresAtMs = lastsMs === undefined ? 0 : context.clock.now() + lastsMs;
  // Before the token is made: one that nobody has seen is of no use.
  if (out !== undefined) writeSecret(resolve(context.cwd, out), '');
  const { token, text } = await withBus(options, context, (bus, timeoutMs) =>
    bus.client('access').createToken({ user, note, grants, expiresAtMs }, { timeoutMs }),
  );
  const { terminal } = context;
  if (out !== undefined) writeSecret(resolve(context.cwd, out), `${text}\n`);
  const made = {
    ...shown(token as access.AccessToken),
    text: out === undefined ? text : undefined,
  };
  if (options.json) return terminal.line(JSON.stringify(made));
  terminal.note(`token ${made.id} of ${made.user}: ${made.expires}; it is not shown again`);
  if (out === undefined) terminal.line(text);
}

function writeSecret(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(EXIT.usage, `--out: cannot write ${path}: ${code ?? message}`);
  }
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list tokens, without their text; who is no admin sees his own')
    .addHelpText('after', '\nExamples:\n  malabar tokens list')
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { tokens } = await bus.client('access').listTokens({}, { timeoutMs });
        const { terminal } = context;
        const all = tokens.map(shown);
        if (options.json) return terminal.line(JSON.stringify({ tokens: all }));
        const titles = ['TOKEN', 'USER', 'RIGHTS', 'CREATED', 'EXPIRES', 'NOTE'];
        const rows = all.map(({ id, user, grants, created, expires, note }) => [
          id,
          user,
          grants,
          created,
          expires,
          note,
        ]);
        printTable(
          terminal,
          titles.map((title) => ({ title })),
          rows,
        );
      }),
    );
}

function revokeCommand(context: CommandContext): Command {
  return clientCommand('revoke')
    .description('end a token now')
    .argument('<id>', 'its id, from `malabar tokens list`')
    .addHelpText('after', '\nExamples:\n  malabar tokens revoke 3f09ab77c1d2e4f5a6b7')
    .action((id: string, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        await bus.client('access').revokeToken({ id }, { timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ revoked: id }));
        else terminal.line(`${id}: revoked`);
      }),
    );
}

function shown({ id, user, note, grants, createdAtMs, expiresAtMs }: access.AccessToken) {
  return {
    id,
    user,
    note,
    grants: grants.length === 0 ? 'as the user' : grantsText(grants),
    created: formatTime(createdAtMs),
    expires: expiresAtMs === 0 ? 'never expires' : `until ${formatTime(expiresAtMs)}`,
  };
}
