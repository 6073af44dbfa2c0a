import { setMaxListeners } from 'node:events';
import type { keeper } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import {
  createFastcgiPool,
  FastcgiError,
  type FastcgiPool,
  type FastcgiPoolStats,
  type FastcgiResponse,
} from '@malabar/fastcgi';
import { judge, judgePing, type SdkAnswer } from '../sdk-answer.js';
import { dataForm, FORM_TYPE, pingForm } from '../sdk-form.js';
import type { Attempt, Target } from '../target.js';
import { crash, notDelivered, retry, type Verdict } from '../verdict.js';

/** More output than this is a failure: an answer is a word, not a page. */
const STDOUT_BYTES_MAX = 1024 * 1024;
/** How long a request waits while others have all connections: well within the lease's grace. */
const WAIT_MS = 5_000;

export interface FastcgiTargetOptions {
  target: keeper.FastcgiTarget;
  pools: FastcgiPools;
  clock: Clock;
}

/** php-fpm: one request a chunk, over the pool that all topics of the address share. */
export function createFastcgiTarget(options: FastcgiTargetOptions): Target {
  const { target, pools, clock } = options;
  const lent = pools.borrow(target);
  const closing = new AbortController();
  // Every request that runs listens to it; Node would warn at the eleventh.
  setMaxListeners(0, closing.signal);
  const send = (stdin: Uint8Array, timeoutMs: number): Promise<FastcgiResponse> =>
    lent.pool.request({
      params: parameters(target.script, stdin.length),
      stdin,
      timeoutMs,
      stdoutBytesMax: STDOUT_BYTES_MAX,
      signal: closing.signal,
    });
  return {
    kind: 'fastcgi',
    address: `${target.address} ${target.script}`,
    chunkMax: Number.POSITIVE_INFINITY,
    pinged: target.ping,
    deliver: async (attempt: Attempt): Promise<Verdict> => {
      try {
        const form = dataForm(attempt, clock.now());
        return judge(answerOf(await send(form, attempt.timeoutMs)), clock.now());
      } catch (error) {
        return failed(error, attempt.timeoutMs);
      }
    },
    ping: async (path, timeoutMs) => {
      try {
        return judgePing(answerOf(await send(pingForm, timeoutMs)), path);
      } catch (error) {
        return `ping: ${(error as Error).message}`;
      }
    },
    close: async () => {
      closing.abort();
      await lent.giveBack();
    },
  };
}

/** The complete list: pepperbus sends no other, so SDK consumers have never seen one. */
function parameters(script: string, length: number): Record<string, string> {
  return {
    SCRIPT_FILENAME: script,
    REQUEST_METHOD: 'POST',
    CONTENT_LENGTH: String(length),
    CONTENT_TYPE: FORM_TYPE,
  };
}

function answerOf({ status, headers, body, stderr }: FastcgiResponse): SdkAnswer {
  return { status, stderr, body: body.toString(), header: (name) => headers.get(name) };
}

function failed(error: unknown, timeoutMs: number): Verdict {
  if (!(error instanceof FastcgiError)) return retry('UNREADABLE', (error as Error).message);
  const words = error.stderr === '' ? error.message : `${error.message}\n${error.stderr}`;
  switch (error.kind) {
    case 'not-delivered':
      return notDelivered(error.message);
    case 'crashed':
      return crash('CRASHED', words);
    case 'timeout':
      return retry('TIMEOUT', `no answer within ${timeoutMs} ms\n${words}`);
    case 'too-large':
      return retry('RESPONSE_TOO_LARGE', words);
    default:
      return retry('PROTOCOL', words);
  }
}

interface Entry {
  pool: FastcgiPool;
  users: number;
}

/** A pool in use by a target. */
export interface LentPool {
  pool: FastcgiPool;
  /** The last user closes the pool. */
  giveBack(): Promise<void>;
}

/** The pools of this process, one per address and settings, shared by all topics that name them. */
export class FastcgiPools {
  readonly #entries = new Map<string, Entry>();

  constructor(private readonly clock: Clock) {}

  borrow(target: keeper.FastcgiTarget): LentPool {
    const key = poolKey(target);
    const entry = this.#entries.get(key) ?? { pool: this.#create(target), users: 0 };
    this.#entries.set(key, entry);
    entry.users++;
    return {
      pool: entry.pool,
      giveBack: async () => {
        if (--entry.users > 0) return;
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        await entry.pool.close();
      },
    };
  }

  /** Figures of every pool by address. */
  stats(): Array<[address: string, stats: FastcgiPoolStats]> {
    return [...this.#entries].map(([key, { pool }]) => [key.split(' ')[0] ?? '', pool.stats()]);
  }

  #create(target: keeper.FastcgiTarget): FastcgiPool {
    return createFastcgiPool({
      address: target.address,
      connectionsMax: target.connectionsMax,
      connectTimeoutMs: target.connectTimeoutMs,
      idleTimeoutMs: target.idleTimeoutMs,
      requestsPerConnection: target.requestsPerConnection,
      waitTimeoutMs: WAIT_MS,
      clock: this.clock,
    });
  }
}

function poolKey(target: keeper.FastcgiTarget): string {
  const { address, connectionsMax, connectTimeoutMs, idleTimeoutMs } = target;
  return [
    address,
    connectionsMax,
    connectTimeoutMs,
    idleTimeoutMs,
    target.requestsPerConnection,
  ].join(' ');
}

/**
 * What all topics of an address agree on, so that they share one pool: as many connections as the
 * topic that wants most, and otherwise the most careful settings of any.
 */
export function agreedSettings(
  targets: readonly keeper.FastcgiTarget[],
): Map<string, Partial<keeper.FastcgiTarget>> {
  const agreed = new Map<string, keeper.FastcgiTarget>();
  for (const target of targets) {
    const other = agreed.get(target.address) ?? target;
    agreed.set(target.address, {
      ...target,
      connectionsMax: Math.max(target.connectionsMax, other.connectionsMax),
      connectTimeoutMs: Math.min(target.connectTimeoutMs, other.connectTimeoutMs),
      idleTimeoutMs: Math.min(target.idleTimeoutMs, other.idleTimeoutMs),
      requestsPerConnection: Math.min(target.requestsPerConnection, other.requestsPerConnection),
    });
  }
  return new Map([...agreed].map(([address, settings]) => [address, pooled(settings)]));
}

function pooled(target: keeper.FastcgiTarget): Partial<keeper.FastcgiTarget> {
  const { connectionsMax, connectTimeoutMs, idleTimeoutMs, requestsPerConnection } = target;
  return { connectionsMax, connectTimeoutMs, idleTimeoutMs, requestsPerConnection };
}
