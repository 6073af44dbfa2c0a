import { randomUUID } from 'node:crypto';
import type { ingest } from '@malabar/contracts';
import { type Clock, KeepAlive } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import { PublishError } from '../errors.js';
import type { Log } from '../log.js';
import { Entry } from './entry.js';
import { type Outgoing, outgoing } from './event.js';
import { Lane } from './lane.js';
import type { Published, PublishOptions } from './options.js';

/** Bytes of events that may wait, beside their number. */
const BYTES_MAX = 64 * 1024 * 1024;

export interface PublisherOptions {
  client: Client<typeof ingest.IngestServiceDefinition>;
  /** The password of a queue, if it has one. */
  password(queue: string): string | undefined;
  /** How long an event may wait for the bus. */
  timeoutMs: number;
  /** Events that may wait for the bus at once. */
  waitingMax: number;
  clock: Clock;
  random: () => number;
  log: Log;
}

/**
 * Everything that this program publishes. Each event ends one way within its time: durable, refused,
 * or unknown and said to be so. Bounded: who publishes faster than the bus takes hears BUSY.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  /** By password: a stream shows one. */
  readonly #lanes = new Map<string, Lane>();
  /** Those that wait, the one with the earliest end first. */
  readonly #entries = new Set<Entry>();
  readonly #keepAlive = new KeepAlive();
  readonly #ownKeys = `${randomUUID()}-`;
  #ownKeyCount = 0;
  #bytes = 0;
  #onRoom: Array<() => void> = [];
  #onEmpty: Array<() => void> = [];
  #cancelTimer: (() => void) | undefined;
  #isClosed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Throws at once what is wrong with the event itself; rejects with a PublishError. */
  publish(event: string, params: unknown, options: PublishOptions): Promise<Published> {
    if (this.#isClosed) throw new PublishError('UNAVAILABLE', 'the connection is closed');
    const now = this.#options.clock.now();
    const ownKey = this.#ownKeys + (this.#ownKeyCount++).toString(36);
    const out = outgoing(event, params, options, { now, ownKey });
    if (!this.#hasRoom(1)) return Promise.reject(this.#full());
    return new Promise((resolve, reject) => {
      const deadlineMs = now + this.#options.timeoutMs;
      const entry = new Entry(out, !options.unique, deadlineMs, (error, published) => {
        this.#ended(entry);
        if (error === undefined) resolve(published as Published);
        else reject(error);
      });
      this.#begin(entry, out);
    });
  }

  /** Resolves when half of the room is free; at once if nothing presses. */
  ready(): Promise<void> {
    if (this.#hasRoom(2)) return Promise.resolve();
    return new Promise((resolve) => this.#onRoom.push(resolve));
  }

  /** Takes nothing more; resolves when everything has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#entries.size > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
    for (const lane of this.#lanes.values()) lane.close();
  }

  /** Whether no more than a part of the room is taken. */
  #hasRoom(part: number): boolean {
    const { waitingMax } = this.#options;
    return this.#entries.size < waitingMax / part && this.#bytes < BYTES_MAX / part;
  }

  #full(): PublishError {
    const waiting = `${this.#entries.size} events (${this.#bytes} bytes) wait for the bus`;
    const message = `${waiting}: await some of them, or ready(), before you publish more`;
    return new PublishError('BUSY', message, { retryable: true });
  }

  #begin(entry: Entry, { queue }: Outgoing): void {
    if (this.#entries.size === 0) this.#keepAlive.hold();
    this.#entries.add(entry);
    this.#bytes += entry.bytes;
    this.#lane(queue).add(entry);
    if (this.#cancelTimer === undefined) this.#watchDeadline();
  }

  #ended(entry: Entry): void {
    this.#entries.delete(entry);
    this.#bytes -= entry.bytes;
    if (this.#onRoom.length > 0 && this.#hasRoom(2)) {
      for (const resolve of this.#onRoom.splice(0)) resolve();
    }
    if (this.#entries.size > 0) return;
    this.#keepAlive.release();
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  /** Who publishes into a queue. */
  metadata(queue: string): Record<string, string> {
    const secret = this.#options.password(queue);
    return secret === undefined ? {} : basic(queue, secret);
  }

  #lane(queue: string): Lane {
    const { client, password, clock, random, log } = this.#options;
    const secret = password(queue);
    const key = secret === undefined ? '' : queue;
    const metadata = this.metadata(queue);
    const lane = this.#lanes.get(key) ?? new Lane({ client, metadata, clock, random, log });
    this.#lanes.set(key, lane);
    return lane;
  }

  /** One timer for all: every event has the same time. */
  #watchDeadline(): void {
    const [first] = this.#entries;
    this.#cancelTimer = undefined;
    if (first === undefined) return;
    const { clock } = this.#options;
    this.#cancelTimer = clock.after(Math.max(1, first.deadlineMs - clock.now()), () => {
      const now = clock.now();
      for (const entry of this.#entries) {
        if (entry.deadlineMs > now) break;
        entry.reject(this.#tooLate(entry));
      }
      this.#watchDeadline();
    });
  }

  #tooLate({ queue, isSent }: Entry): PublishError {
    const { timeoutMs, password } = this.#options;
    const lane = this.#lanes.get(password(queue) === undefined ? '' : queue);
    const reason = lane?.trouble?.message ?? 'no answer';
    const message = `queue ${queue}: not confirmed within ${timeoutMs} ms: ${reason}`;
    return new PublishError('TIMEOUT', message, { mayHaveHappened: isSent, retryable: true });
  }
}

function basic(queue: string, password: string): { authorization: string } {
  const pair = Buffer.from(`${queue}:${password}`).toString('base64');
  return { authorization: `Basic ${pair}` };
}
