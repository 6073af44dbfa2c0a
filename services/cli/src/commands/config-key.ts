import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import type { CommandContext } from '../context.js';
import { plural } from '../format.js';

const EXAMPLES = `
Give every keeper the new key as keeper.secret_key and the old one as keeper.previous_secret_key,
restart them, then run this once; afterwards the previous key can go (docs/keeper.md).

Examples:
  malabar config rotate-key`;

/** `malabar config rotate-key`: wraps all data keys by the current secret key. */
export function rotateKeyCommand(context: CommandContext): Command {
  return clientCommand('rotate-key')
    .description('wrap the keys of all secrets by the current secret key, and begin a new one')
    .addHelpText('after', EXAMPLES)
    .action((options: ClientOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const { keyId, dataKeys } = await service.rotateSecretKey({}, { timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ keyId, dataKeys }));
        else terminal.line(`${plural(dataKeys, 'data key')} wrapped by secret key ${keyId}`);
      }),
    );
}
