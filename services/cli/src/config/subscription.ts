import type { config } from '@malabar/contracts';
import { CommandError, EXIT } from '../exit.js';

/**
 * A subscription as gokeeper writes it: `/redis.conf` for the DEFAULT chain of a file, or
 * `/redis.conf/web-1` for a section above it. A missing first slash is forgiven.
 */
export function parseSubscription(text: string): config.Subscription {
  const path = text.startsWith('/') ? text : `/${text}`;
  const [, file, section = ''] = /^(.+\.conf)(?:\/([^/]+))?$/i.exec(path) ?? [];
  if (file !== undefined) return { file, section, verbatim: false };
  throw new CommandError(
    EXIT.usage,
    `'${text}' is no subscription`,
    'say /file.conf or /file.conf/section',
  );
}
