import { isUserToken } from '@malabar/access';
import type { CommandContext } from './context.js';
import { CommandError, EXIT } from './exit.js';
import { readTextFile } from './input-file.js';
import { sessionOf } from './sessions.js';

/**
 * What a command shows to the bus at an address, so that the bus knows its user: the token of
 * `--token-file`, of MALABAR_TOKEN, or of the session that `malabar login` keeps for this address.
 */
export function userToken(
  { tokenFile }: { tokenFile?: string },
  context: CommandContext,
): (address: string) => string | undefined {
  if (tokenFile !== undefined) {
    const token = checked(readTextFile(tokenFile).trim(), `--token-file: ${tokenFile} holds`);
    return () => token;
  }
  const { MALABAR_TOKEN } = context.env;
  if (MALABAR_TOKEN) {
    const token = checked(MALABAR_TOKEN, 'MALABAR_TOKEN is');
    return () => token;
  }
  return (address) => sessionOf(context, address)?.token;
}

/** Sent as it is, another text would pass for the token of the bus. */
function checked(text: string, what: string): string {
  if (isUserToken(text)) return text;
  throw new CommandError(
    EXIT.usage,
    `${what} no user token`,
    'one begins with mlb_ (`malabar tokens create`); the token of the bus is MALABAR_GRPC_TOKEN',
  );
}
