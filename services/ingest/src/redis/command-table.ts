import { replyEncoder } from '@malabar/resp';
import type { Connection, Reply } from '../connection.js';
import { batchCommands } from './batch-commands.js';
import { ANY_NUMBER, type RedisCommand, type RedisCommands } from './command.js';
import { connectionCommands } from './connection-commands.js';
import { fetchCommands } from './fetch-commands.js';
import { jobCommands } from './job-commands.js';
import { whyRefused } from './refusals.js';
import { createCommandCommand, serverCommands } from './server-commands.js';

const push: RedisCommand = {
  argumentsMin: 2,
  argumentsMax: ANY_NUMBER,
  summary: 'Pushes one job per body; the answer is the number of ready deliveries.',
  flags: ['write', 'fast'],
  key: 1,
  run: (session, connection) => session.pusher.push(connection),
};

const TABLE: RedisCommands = {
  LPUSH: push,
  RPUSH: push,
  ...jobCommands,
  ...batchCommands,
  ...fetchCommands,
  ...connectionCommands,
  ...serverCommands,
  COMMAND: createCommandCommand(() => TABLE),
};

/** The command of this name in any case. */
export function findCommand(name: string): RedisCommand | undefined {
  const upper = name.toUpperCase();
  return Object.hasOwn(TABLE, upper) ? TABLE[upper] : undefined;
}

const ECHOED_MAX = 128;

/**
 * Replies that there is no such command, and what to use instead if we know. Unlike redis it does not
 * repeat the arguments: those of a misspelt AUTH are a password, and clients log replies.
 */
export function unknownCommand(connection: Connection, name: string): Reply {
  const { error } = replyEncoder(2);
  // A browser or a forged form post must not get a second line executed (as redis does it).
  if (/^(post|host:)$/i.test(name)) {
    connection.end();
    return undefined;
  }
  const reason = whyRefused(name);
  return error(`ERR ${reason ?? `unknown command '${name.slice(0, ECHOED_MAX)}'`}`);
}
