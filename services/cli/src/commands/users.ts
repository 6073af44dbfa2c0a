import type { access } from '@malabar/contracts';
import { Command } from 'commander';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import { confirm } from '../confirm.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { grantOptions, grantsText } from '../grant-option.js';
import { readPassword } from '../password-input.js';
import { collect } from '../settings.js';
import { printTable } from '../table.js';

const GROUP_EXAMPLES = `
Examples:
  malabar users set ann --password --grant shop:operator
  malabar users list`;

/** `malabar users`: who may do what. */
export function usersCommand(context: CommandContext): Command {
  return new Command('users')
    .description('people and their rights')
    .addCommand(listCommand(context))
    .addCommand(setCommand(context))
    .addCommand(switchCommand(context, 'disable', true))
    .addCommand(switchCommand(context, 'enable', false))
    .addCommand(deleteCommand(context))
    .addHelpText('after', GROUP_EXAMPLES);
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list everybody; who is no admin sees himself')
    .addHelpText('after', '\nExamples:\n  malabar users list --json')
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { users } = await bus.client('access').listUsers({}, { timeoutMs });
        const { terminal } = context;
        const shown = users.map(({ name, grants, disabled }) => ({
          name,
          grants: grantsText(grants),
          disabled,
        }));
        if (options.json) return terminal.line(JSON.stringify({ users: shown }));
        if (users.length === 0) return terminal.line('There are no users: everything is open.');
        printTable(
          terminal,
          [{ title: 'USER' }, { title: 'RIGHTS' }, { title: 'NOTE' }],
          shown.map(({ name, grants, disabled }) => [name, grants, disabled ? 'disabled' : '']),
        );
      }),
    );
}

interface SetOptions extends ClientOptions {
  grant?: string[];
  password?: boolean;
  passwordFile?: string;
}

const SET_EXAMPLES = `
Roles: node, viewer, developer, operator, admin; \`*\` is every system. Another password ends all
sessions of the user.

Examples:
  malabar users set ann --password --grant '*:admin'
  malabar users set bob --password-file ./password --grant shop:developer --grant '*:viewer'
  malabar users set nodes --grant shop:node`;

function setCommand(context: CommandContext): Command {
  return clientCommand('set')
    .description('make a user, or change what is said here')
    .argument('<name>', 'the user')
    .option('--grant <system:role>', 'a right; given at all, these replace the others', collect)
    .option('--password', 'set the password, which is asked for')
    .option('--password-file <file>', 'set the password that stands here; - for stdin')
    .addHelpText('after', SET_EXAMPLES)
    .action((name: string, options: SetOptions) => setUser(context, name, options));
}

async function setUser(context: CommandContext, name: string, options: SetOptions): Promise<void> {
  const grants = options.grant && grantOptions(options.grant);
  const wanted = options.password || options.passwordFile !== undefined;
  const question = { question: `New password of ${name}: `, again: 'Again: ' };
  const password = wanted ? await readPassword(context, options, question) : '';
  await change(context, options, name, (user) => ({
    user: { ...(user ?? { name, disabled: false, grants: [] }), ...(grants && { grants }) },
    password,
  }));
}

function switchCommand(context: CommandContext, verb: string, disabled: boolean): Command {
  const about = disabled
    ? 'let a user no longer in, and end his sessions; his tokens wait'
    : 'let a user in again';
  return clientCommand(verb)
    .description(about)
    .argument('<name>', 'the user')
    .addHelpText('after', `\nExamples:\n  malabar users ${verb} bob`)
    .action((name: string, options: ClientOptions) =>
      change(context, options, name, (user) => {
        if (user !== undefined) return { user: { ...user, disabled }, password: '' };
        throw new CommandError(EXIT.notFound, `there is no user ${name}`, '`malabar users list`');
      }),
    );
}

/** Puts what `next` makes of the user as he is. */
async function change(
  context: CommandContext,
  options: ClientOptions,
  name: string,
  next: (user: access.User | undefined) => access.PutUserRequest,
): Promise<void> {
  const user = await withBus(options, context, async (bus, timeoutMs) => {
    const service = bus.client('access');
    const { users } = await service.listUsers({}, { timeoutMs });
    const request = next(users.find((each) => each.name === name));
    const answer = await service.putUser(request, { timeoutMs });
    return answer.user as access.User;
  });
  const { terminal } = context;
  const { grants, disabled } = user;
  const rights = grantsText(grants);
  if (options.json) terminal.line(JSON.stringify({ user: { name, grants: rights, disabled } }));
  else terminal.line(`${name}: ${rights}${disabled ? ', disabled' : ''}`);
}

interface DeleteOptions extends ClientOptions {
  yes?: boolean;
}

function deleteCommand(context: CommandContext): Command {
  return clientCommand('delete')
    .description('take a user away, with all tokens')
    .argument('<name>', 'the user')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  malabar users delete bob --yes')
    .action(async (name: string, options: DeleteOptions) => {
      if (!options.yes) {
        await confirm(context.terminal, {
          consequence: `this takes ${name} away, with all tokens`,
          question: `Take ${name} away, with all tokens?`,
          refused: 'nothing was deleted',
        });
      }
      await withBus(options, context, (bus, timeoutMs) =>
        bus.client('access').deleteUser({ name }, { timeoutMs }),
      );
      const { terminal } = context;
      if (options.json) terminal.line(JSON.stringify({ deleted: name }));
      else terminal.line(`${name}: deleted`);
    });
}
