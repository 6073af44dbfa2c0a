import type { keeper } from '@malabar/contracts';
import { BusError, toBusError } from '@malabar/core';
import type { RequestParser } from '@malabar/resp';
import type { Access } from '../access.js';
import type { Batch, BatchAnswer, Waiter } from '../batch.js';
import { type Connection, type Reply, Slot } from '../connection.js';
import { errorText } from '../error-text.js';
import type { Intake, IntakeQueue } from '../intake.js';

/** Single pushes, one after the other, in one batch: one slot for all of them. */
class PushRun extends Slot implements Waiter {
  readonly protocol = 'redis';

  constructor(
    connection: Connection,
    readonly batch: Batch,
  ) {
    super(connection);
  }

  settle(answer: BatchAnswer, index: number, count: number): void {
    if (answer.whole) {
      this.resolve(`:${answer.ready}\r\n`.repeat(count));
      return;
    }
    let replies = '';
    for (let i = index; i < index + count; i++) {
      const error = answer.refusal(i, 1);
      replies += error ? errorText(error) : `:${answer.ready}\r\n`;
    }
    this.resolve(replies);
  }
}

/** One push of several bodies: one reply. */
class PushMany extends Slot implements Waiter {
  readonly protocol = 'redis';

  settle(answer: BatchAnswer, index: number, count: number): void {
    const error = answer.refusal(index, count);
    this.resolve(error ? partly(error, answer, index, count) : `:${answer.ready}\r\n`);
  }
}

function partly(error: BusError, answer: BatchAnswer, index: number, count: number): string {
  const accepted = answer.outcomes(index, count).filter((each) => !each.error).length;
  if (accepted === 0) return errorText(error);
  const text = `${accepted} of ${count} jobs were accepted; the others: ${error.message}`;
  return errorText(new BusError(error.code, text));
}

/** LPUSH and RPUSH of one connection: the hottest path of the product. */
export class Pusher {
  readonly #intake: Intake;
  readonly #access: Access;
  /** The queue of the last push: producers rarely change it, and finding it by bytes is cheap. */
  #queue: IntakeQueue | undefined;
  #queueName = new Uint8Array();
  /** The document under which the last push was allowed. */
  #allowed: keeper.QueueConfig | undefined;

  constructor(intake: Intake, access: Access) {
    this.#intake = intake;
    this.#access = access;
  }

  /** Identities have changed. */
  forget(): void {
    this.#allowed = undefined;
  }

  push(connection: Connection): Reply {
    const { parser } = connection;
    if (parser.count > 3) return this.#pushMany(connection);
    if (parser.count < 3) {
      const name = parser.text(0).toLowerCase();
      return `-ERR wrong number of arguments for '${name}' command\r\n`;
    }
    const start = parser.starts[2] as number;
    const end = parser.ends[2] as number;
    const queue = this.#ready(parser, end - start, end - start);
    if (typeof queue === 'string') return queue;
    this.#pushOne(connection, queue, start, end);
    return undefined;
  }

  /** The command's queue, or the error reply if it cannot be pushed to now. */
  #ready(parser: RequestParser, bytes: number, longest: number): IntakeQueue | string {
    let queue: IntakeQueue | undefined;
    try {
      queue = this.#find(parser);
      const error = this.#accessError(queue) ?? this.#intake.refusal(queue, bytes, longest);
      if (error === undefined) return queue;
      throw error;
    } catch (thrown) {
      const error = toBusError(thrown);
      return errorText(this.#intake.refused(queue?.name ?? '', error, parser.count - 2));
    }
  }

  #accessError(queue: IntakeQueue): BusError | undefined {
    if (queue.config === this.#allowed && queue.config !== undefined) return undefined;
    const error = this.#access.pushRefusal(queue);
    this.#allowed = error ? undefined : queue.config;
    return error;
  }

  #find(parser: RequestParser): IntakeQueue {
    const start = parser.starts[1] as number;
    const end = parser.ends[1] as number;
    const cached = this.#queue;
    if (cached?.config !== undefined && sameBytes(this.#queueName, parser.bytes, start, end)) {
      return cached;
    }
    const queue = this.#intake.require(parser.text(1));
    this.#queue = queue;
    this.#queueName = Uint8Array.from(parser.argument(1));
    return queue;
  }

  #pushOne(connection: Connection, queue: IntakeQueue, start: number, end: number): void {
    const batch = this.#intake.batch(queue);
    const last = connection.lastSlot;
    let run: PushRun;
    if (last instanceof PushRun && last.batch === batch) {
      run = last;
      connection.charge(run, end - start);
    } else {
      run = new PushRun(connection, batch);
      connection.open(run, end - start);
    }
    this.#intake.addBody(batch, run, connection.parser.bytes, start, end);
  }

  #pushMany(connection: Connection): Reply {
    const { parser } = connection;
    const { bytes, starts, ends, count } = parser;
    let total = 0;
    let longest = 0;
    for (let i = 2; i < count; i++) {
      const length = (ends[i] as number) - (starts[i] as number);
      total += length;
      if (length > longest) longest = length;
    }
    const queue = this.#ready(parser, total, longest);
    if (typeof queue === 'string') return queue;
    const batch = this.#intake.batch(queue);
    const slot = new PushMany(connection);
    connection.open(slot, total);
    for (let i = 2; i < count; i++) {
      this.#intake.addBody(batch, slot, bytes, starts[i] as number, ends[i] as number);
    }
    return undefined;
  }
}

function sameBytes(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}
