import { common } from '@malabar/contracts';
import { type BusError, toBusError } from '@malabar/core';
import { Access, type AccessRules, parsePlace, topicOf } from '../access.js';
import type { BatchAnswer, Waiter } from '../batch.js';
import { type Connection, type Dialect, type Reply, Slot } from '../connection.js';
import { fetchJobs } from '../fetch.js';
import type { Intake, IntakeQueue } from '../intake.js';
import type { StorageClient } from '../storage-client.js';
import { beginTrace, type Trace } from '../trace.js';
import { encoder, NOT_AUTHENTICATED, popReply, pushReply } from './replies.js';

/** What the trace context adds to a job. */
const TRACE_BYTES = 64;

export interface PepperbusContext {
  intake: Intake;
  rules: AccessRules;
  storage: StorageClient;
  random: () => number;
  /** Queues without a password are open on this listener. */
  open: boolean;
}

/** One client of the pepperbus dialect: AUTH, PING, LPUSH, RPOP, INFO and nothing else. */
export class PepperbusSession implements Dialect {
  readonly protocol = 'pepperbus';
  readonly #context: PepperbusContext;
  readonly #access: Access;
  readonly #address: string;
  /** The one identity of the connection: `queue` or `queue/topic`; empty for none. */
  #identity = '';

  constructor(context: PepperbusContext, address: string) {
    this.#context = context;
    this.#access = new Access(context.rules, context.open);
    this.#address = address;
  }

  command(connection: Connection): Reply {
    const name = connection.parser.text(0);
    switch (name.toUpperCase()) {
      case 'LPUSH':
        return this.#push(connection);
      case 'AUTH':
        return this.#auth(connection);
      case 'PING': {
        const known = this.#identity !== '' && this.#access.is(this.#identity);
        return known ? '+PONG\r\n' : encoder.error(NOT_AUTHENTICATED);
      }
      case 'RPOP':
        return this.#pop(connection);
      case 'INFO':
        return encoder.simple('malabar: ready for pepperbus clients');
      default:
        return encoder.error(`ERR unknown command '${name.slice(0, 128)}'`);
    }
  }

  #auth(connection: Connection): Reply {
    const { parser } = connection;
    if (parser.count < 2) {
      const text = "ERR wrong number of arguments for 'auth' command";
      return encoder.error(text);
    }
    const text = parser.text(1);
    const colon = text.indexOf(':');
    const identity = colon < 0 ? text : text.slice(0, colon);
    this.#forget();
    const verdict = (right: boolean): string => {
      if (!right) return encoder.error('ERR invalid password');
      this.#identity = identity;
      return encoder.simple('OK');
    };
    const right = this.#access.login(identity, colon < 0 ? '' : text.slice(colon + 1));
    if (typeof right === 'boolean') return verdict(right);
    return connection.hold(() => right.then(verdict));
  }

  #forget(): void {
    this.#identity = '';
    this.#access.reset();
  }

  /** Identity and password still stand. Exactly as named: a queue is not its topics. */
  #is(identity: string): boolean {
    return this.#identity === identity && this.#access.is(identity);
  }

  #push(connection: Connection): Reply {
    const { parser } = connection;
    const refuse = (error: string, traceId = ''): string => pushReply(null, traceId, error);
    if (parser.count < 2) return refuse('Invalid Args');
    const key = parser.text(1);
    if (!key.includes('/')) return refuse(`ParseJob fail: invalid job meta info: ${key}`);
    const { queue: name } = parsePlace(key);
    const queue = this.#context.intake.find(name);
    if (this.#identity !== name || (queue !== undefined && !this.#is(name))) {
      return refuse(NOT_AUTHENTICATED);
    }
    if (queue === undefined) return refuse(`queue or Topic not exist ${name}`);
    if (parser.count < 3) return refuse('empty jobs');
    const trace = beginTrace(this.#context.random);
    const error = this.#add(connection, queue, trace);
    if (!error) return undefined;
    return refuse(explain(this.#context.intake.refused(name, error)), trace.traceId);
  }

  /** Each value is one job for every topic; the key's part behind the slash is ignored. */
  #add(connection: Connection, queue: IntakeQueue, trace: Trace): BusError | undefined {
    const { intake } = this.#context;
    const { bytes, starts, ends, count, oversizeBytes } = connection.parser;
    let total = 0;
    let longest = oversizeBytes;
    for (let i = 2; i < count; i++) {
      const length = (ends[i] as number) - (starts[i] as number);
      total += length + TRACE_BYTES;
      longest = Math.max(longest, length);
    }
    const error = intake.refusal(queue, total, longest);
    if (error) return error;
    const slot = new PushedJobs(connection, trace.traceId);
    connection.open(slot, total);
    const batch = intake.batch(queue);
    const rest = common.Job.encode(common.Job.fromPartial({ traceParent: trace.traceParent }));
    const fields = rest.finish();
    for (let i = 2; i < count; i++) {
      intake.addBody(batch, slot, bytes, starts[i] as number, ends[i] as number, fields);
    }
    return undefined;
  }

  #pop(connection: Connection): Reply {
    const { parser } = connection;
    if (parser.count < 2) return encoder.bulk('Invalid Args');
    const key = parser.text(1);
    const { queue: name, topic } = parsePlace(key);
    if (topic === undefined) {
      return encoder.bulk(`ParseJob fail: invalid job meta info: ${key}`);
    }
    const queue = this.#context.intake.find(name);
    const exists = queue !== undefined && topicOf(queue, topic) !== undefined;
    if (this.#identity !== key || (exists && !this.#is(key))) {
      return encoder.error(NOT_AUTHENTICATED);
    }
    if (queue === undefined) return encoder.bulk(`queue not exist ${name}`);
    if (!exists) return encoder.bulk(`topic not exist ${topic}`);
    return connection.hold(() => this.#take(queue, topic));
  }

  async #take(queue: IntakeQueue, topic: string): Promise<string> {
    try {
      const [popped] = await fetchJobs(this.#context.storage, queue, {
        topic,
        jobsMax: 1,
        waitMs: 0,
        settle: true,
        consumer: this.#address,
      });
      if (popped === undefined) return encoder.nil();
      const { jobId, job, attempt } = popped;
      const traceId = job.traceParent.split('-')[1] ?? '';
      return popReply({ id: jobId, traceId, body: job.body, attempt });
    } catch (thrown) {
      return encoder.bulk(explain(toBusError(thrown)));
    }
  }
}

class PushedJobs extends Slot implements Waiter {
  readonly protocol = 'pepperbus';

  constructor(
    connection: Connection,
    readonly traceId: string,
  ) {
    super(connection);
  }

  settle(answer: BatchAnswer, index: number, count: number): void {
    const error = answer.refusal(index, count);
    const ids = answer.outcomes(index, count).map((each) => each.jobId);
    const [result, text] = error ? [null, explain(error)] : [ids, ''];
    this.resolve(pushReply(result, this.traceId, text));
  }
}

/** Errors that pepperbus has no text for: code and message. */
function explain(error: BusError): string {
  return `${error.code}: ${error.message}`;
}
