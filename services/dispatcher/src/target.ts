import type { keeper } from '@malabar/contracts';
import type { Delivery } from './delivery.js';
import type { Verdict } from './verdict.js';

/** One request to a consumer. */
export interface Attempt {
  queue: string;
  topic: string;
  /** At least one. Judged as one: all of them share the verdict. */
  deliveries: readonly Delivery[];
  /** Which tries these are is in the deliveries; the policy tells the consumer what may follow. */
  retry: keeper.RetryPolicy | undefined;
  /** The whole attempt ends within this, waiting for a connection included. */
  timeoutMs: number;
}

/** Where the deliveries of a topic go by request and answer: fastcgi, http, command and rabbitmq. */
export interface Target {
  readonly kind: 'fastcgi' | 'http' | 'command' | 'rabbitmq';
  /** For people, without secrets. */
  readonly address: string;
  /** The most jobs that one request can carry. */
  readonly chunkMax: number;
  /** The consumer must name the topic in the answer to a ping before it gets jobs. */
  readonly pinged: boolean;
  /**
   * Sends one request and judges the answer. Never rejects, never retries, ends within the timeout, or
   * a bounded while later if what it asked for has to be ended first.
   */
  deliver(attempt: Attempt): Promise<Verdict>;
  /** Asks which topics the consumer serves. Resolves to why this topic is not among them, or ''. */
  ping(path: string, timeoutMs: number): Promise<string>;
  /**
   * Ends an attempt whose verdict nobody waits for any more. Targets have it whose attempts would go on
   * by themselves; `deliver` resolves when nothing of the attempt is left.
   */
  cancel?(attempt: Attempt, reason: string): void;
  /** Frees its connections. Called once, when nothing runs or nobody waits for what does. */
  close(): Promise<void>;
}
