import type { config } from '@malabar/contracts';
import { parseSubscription } from '@malabar/typed-config';
import { CommandError, EXIT } from '../exit.js';

/** `/redis.conf` or `/redis.conf/web-1`, as an argument. Throws a CommandError. */
export function readSubscription(text: string): config.Subscription {
  const path = parseSubscription(text);
  if (path !== undefined) return { ...path, verbatim: false };
  throw new CommandError(
    EXIT.usage,
    `'${text}' is no subscription`,
    'say /file.conf or /file.conf/section',
  );
}
