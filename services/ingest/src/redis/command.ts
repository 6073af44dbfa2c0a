import type { Connection, Reply } from '../connection.js';
import type { RedisSession } from './session.js';

/** One command of the redis dialect. */
export interface RedisCommand {
  /** Arguments behind the name. */
  argumentsMin: number;
  argumentsMax: number;
  /** One line for COMMAND DOCS. */
  summary: string;
  /** As in COMMAND INFO: write, readonly, fast, blocking. */
  flags: readonly string[];
  /** Position of the queue among the words of the command; 0 if there is none. */
  key: 0 | 1;
  /** Runs the command in connection.parser; may throw a BusError. */
  run(session: RedisSession, connection: Connection): Reply;
}

export type RedisCommands = Readonly<Record<string, RedisCommand>>;

export const ANY_NUMBER = Number.MAX_SAFE_INTEGER;
