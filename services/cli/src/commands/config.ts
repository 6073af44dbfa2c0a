import { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { deleteCommand, domainCommand, domainsCommand } from './config-domain.js';
import { diffCommand, discardCommand, draftCommand, validateCommand } from './config-draft.js';
import { parentCommand, schemaCommand, setCommand, unsetCommand } from './config-edit.js';
import { checkCommand, hashCommand, showCommand } from './config-file.js';
import { generateCommand } from './config-generate.js';
import { effectiveCommand, getCommand } from './config-get.js';
import { auditCommand, historyCommand } from './config-history.js';
import { exportCommand, importCommand } from './config-import.js';
import { rotateKeyCommand } from './config-key.js';
import { abortCommand, promoteCommand, publishCommand, rollbackCommand } from './config-release.js';
import { whoCommand } from './config-who.js';

const EXAMPLES = `
A domain holds files, sections and keys. Changes gather in its draft until they are published;
docs/keeper.md tells the whole story.

Examples:
  malabar config check malabar.yaml
  malabar config domain shop --create
  malabar config import shop conf --publish
  malabar config set shop /redis.conf DEFAULT timeout 500ms
  malabar config diff shop && malabar config publish shop -m 'more patience'
  malabar config who shop`;

/** `malabar config`: the file of the bus, and the configuration that the keeper gives to programs. */
export function configCommand(context: CommandContext): Command {
  const command = new Command('config')
    .description('the configuration: of the bus in malabar.yaml, of programs in the keeper')
    .addHelpText('after', EXAMPLES);
  for (const [heading, commands] of groups) {
    for (const create of commands) command.addCommand(create(context).helpGroup(heading));
  }
  return command;
}

const groups = [
  ['malabar.yaml:', [checkCommand, showCommand, hashCommand]],
  ['Domains:', [domainsCommand, domainCommand, deleteCommand, rotateKeyCommand]],
  ['Look:', [getCommand, effectiveCommand, exportCommand, generateCommand]],
  [
    'Edit:',
    [
      setCommand,
      unsetCommand,
      importCommand,
      schemaCommand,
      parentCommand,
      draftCommand,
      diffCommand,
      validateCommand,
      discardCommand,
    ],
  ],
  ['Release:', [publishCommand, promoteCommand, abortCommand, rollbackCommand]],
  ['Follow:', [historyCommand, auditCommand, whoCommand]],
] as const;
