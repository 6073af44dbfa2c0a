import { toBusError } from '@malabar/core';
import { type ReplyEncoder, replyEncoder } from '@malabar/resp';
import { Access } from '../access.js';
import type { Connection, Dialect, Reply } from '../connection.js';
import { errorText } from '../error-text.js';
import { tooLarge } from '../intake.js';
import { findCommand, unknownCommand } from './command-table.js';
import type { RedisContext } from './context.js';
import { Pusher } from './push.js';

/** One client of the redis dialect: its protocol version, name and identities. */
export class RedisSession implements Dialect {
  readonly protocol = 'redis';
  readonly access: Access;
  readonly pusher: Pusher;
  /** Ends what the client still waits for when it goes. */
  readonly gone = new AbortController();
  encoder: ReplyEncoder = replyEncoder(2);
  name = '';
  library = '';
  libraryVersion = '';

  constructor(
    readonly context: RedisContext,
    readonly id: number,
    readonly address: string,
  ) {
    this.access = new Access(context.rules, context.open);
    this.pusher = new Pusher(context.intake, this.access);
  }

  command(connection: Connection): Reply {
    const { parser } = connection;
    if (parser.oversizeBytes > 0) return this.#oversize(connection);
    if (isPush(parser.bytes, parser.starts[0] as number, parser.ends[0] as number)) {
      return this.pusher.push(connection);
    }
    try {
      return this.#run(connection);
    } catch (thrown) {
      return errorText(toBusError(thrown));
    }
  }

  ended(): void {
    this.gone.abort();
  }

  /** As after connecting (RESET). */
  reset(): void {
    this.access.reset();
    this.pusher.forget();
    this.encoder = replyEncoder(2);
    this.name = '';
  }

  #run(connection: Connection): Reply {
    const { parser } = connection;
    const name = parser.text(0);
    const command = findCommand(name);
    if (command === undefined) return unknownCommand(connection, name);
    if (parser.count < command.argumentsMin + 1 || parser.count > command.argumentsMax + 1) {
      const text = `wrong number of arguments for '${name.toLowerCase()}' command`;
      return this.encoder.error(`ERR ${text}`);
    }
    return command.run(this, connection);
  }

  #oversize(connection: Connection): string {
    const { parser } = connection;
    const name = parser.count > 1 ? parser.text(1) : '';
    const queue = this.context.intake.find(name);
    const limit = queue?.config?.bodyBytesMax ?? this.context.intake.largestBody;
    const error = tooLarge(queue?.name ?? name.slice(0, 64), parser.oversizeBytes, limit);
    return errorText(this.context.intake.refused(name, error));
  }
}

/** LPUSH or RPUSH in any case: known by its bytes, because it is nearly every command. */
function isPush(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== 5) return false;
  const first = (bytes[start] as number) | 0x20;
  return (
    (first === 0x6c || first === 0x72) &&
    ((bytes[start + 1] as number) | 0x20) === 0x70 &&
    ((bytes[start + 2] as number) | 0x20) === 0x75 &&
    ((bytes[start + 3] as number) | 0x20) === 0x73 &&
    ((bytes[start + 4] as number) | 0x20) === 0x68
  );
}
