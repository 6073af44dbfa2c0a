import { type Clock, reconnectDelayMs, sleep } from '@malabar/core';
import { AmqpConnection } from './connection.js';
import type { AmqpEndpoint } from './endpoint.js';

const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 10_000;
const NOT_YET = 'connecting';

export interface AmqpLinkOptions {
  endpoint: AmqpEndpoint;
  /** What RabbitMQ's list of connections shows. */
  name: string;
  clock: Clock;
  /** 0 to 1. */
  random: () => number;
  /** Makes what is needed on a new connection, anew each time. To reject is to give the connection up. */
  begin(connection: AmqpConnection): Promise<void>;
  /** A connection is ready. */
  onUp?(): void;
  /** There is none any more, or one could not be made; once for each time. */
  onDown?(reason: string): void;
}

/** A connection to RabbitMQ that is made again whenever it ends, for ever, with pauses up to 10 s. */
export interface AmqpLink {
  /** The connection that is ready. */
  readonly connection: AmqpConnection | undefined;
  /** Why there is none; empty if there is one. */
  readonly reason: string;
  /** Connections that were ready, but for the first one. */
  readonly reconnects: number;
  /** Closes the connection and makes no other. Never rejects. */
  close(): Promise<void>;
}

export function createAmqpLink(options: AmqpLinkOptions): AmqpLink {
  const { endpoint, name, clock, random } = options;
  const stopping = new AbortController();
  let open: AmqpConnection | undefined;
  let opening = false;
  let ready: AmqpConnection | undefined;
  let reason = NOT_YET;
  let connections = 0;
  let attempt = 0;

  /** One connection from its beginning to its end; resolves to why it ended. */
  async function use(): Promise<string> {
    opening = true;
    const connection = await AmqpConnection.open(endpoint, name).finally(() => {
      opening = false;
    });
    open = connection;
    try {
      if (stopping.signal.aborted) return 'closed';
      const begun = options.begin(connection).then(() => undefined);
      const failed = await Promise.race([begun, connection.ended]);
      // What was under way when the connection ended rejects too, and says less.
      begun.catch(() => {});
      if (failed !== undefined) return failed;
      const sinceMs = clock.now();
      ready = connection;
      reason = '';
      connections++;
      options.onUp?.();
      const why = await connection.ended;
      // One that ends at once each time is no reason to hurry.
      if (clock.now() - sinceMs > PAUSE_MS_MAX) attempt = 0;
      return why;
    } finally {
      ready = undefined;
      open = undefined;
      await connection.close();
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      reason = await use().catch((error: Error) => error.message);
      if (stopping.signal.aborted) break;
      options.onDown?.(reason);
      const pauseMs = reconnectDelayMs(attempt++, random, PAUSE_MS_MIN, PAUSE_MS_MAX);
      await sleep(clock, pauseMs, stopping.signal);
    }
    reason = 'closed';
  }

  const running = run();
  return {
    get connection() {
      return ready;
    },
    get reason() {
      return reason;
    },
    get reconnects() {
      return Math.max(0, connections - 1);
    },
    async close() {
      stopping.abort();
      await open?.close();
      // One that is just being made is closed when it is there; nobody has to wait for that.
      if (!opening) await running;
    },
  };
}
