import { common, dispatcher } from '@malabar/contracts';
import { Channel, type Clock } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Verdict } from './verdict.js';

const { DONE, EXTEND } = common.OutcomeKind;

/** Of a bus that does not say how long we have. */
const TIMEOUT_MS_UNSAID = 30_000;
/** More time is asked for so often within what we have: two messages may be late. */
const SIGNS_PER_TIMEOUT = 3;

/** A job that the bus gave us, until it is answered. */
export interface Held {
  readonly item: dispatcher.WorkItem;
  readonly session: Session;
  /** When it came, or more time was last asked for. */
  aliveAtMs: number;
  /** Its lease has ended: the answer changes nothing any more. */
  isLost: boolean;
}

export interface SessionOptions {
  client: Client<typeof dispatcher.WorkerServiceDefinition>;
  /** The first message. */
  hello: Partial<dispatcher.WorkRequest>;
  clock: Clock;
  onHeld(held: Held): void;
  onLost(held: Held): void;
}

/** One Work stream: says who we are, hands jobs on, asks for time while they are held, answers. */
export class Session {
  readonly #options: SessionOptions;
  readonly #out = new Channel<dispatcher.WorkRequest>();
  readonly #cancel = new AbortController();
  /** By lease, the one that has been silent for longest in front. */
  readonly #held = new Map<number, Held>();
  /** Lost ones keep their places at the bus until they are answered. */
  readonly #lost = new Map<number, Held>();
  #timeoutMs = TIMEOUT_MS_UNSAID;
  #done: number[] = [];
  #outcomes: common.Outcome[] = [];
  #isScheduled = false;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Resolves when the stream has ended in peace; throws a BusError if it broke. */
  async run(): Promise<void> {
    const { client, hello } = this.#options;
    this.#say(hello);
    try {
      const signal = this.#cancel.signal;
      for await (const response of client.work(this.#out, { signal })) this.#heard(response);
    } finally {
      this.#isOver = true;
      this.#out.end();
      this.#cancelTimer?.();
      for (const held of [...this.#held.values()]) this.#lose(held);
    }
  }

  /** Tells the bus what became of a job; says nothing once the stream is over. */
  answer(held: Held, verdict: Verdict): void {
    const { leaseId } = held.item;
    if (this.#isOver || !(this.#held.delete(leaseId) || this.#lost.delete(leaseId))) return;
    if (verdict.kind === DONE) this.#done.push(leaseId);
    else this.#outcomes.push(common.Outcome.fromPartial({ leaseId, ...verdict }));
    this.#schedule();
  }

  /** Asks for no more jobs. */
  leave(): void {
    this.#say({ leaving: true });
  }

  /** Ends our side: the bus ends its own once it has heard everything. */
  end(): void {
    this.#flush();
    this.#out.end();
  }

  /** Cuts the stream. */
  cut(): void {
    this.#cancel.abort();
  }

  #say(request: Partial<dispatcher.WorkRequest>): void {
    this.#out.push(dispatcher.WorkRequest.fromPartial(request));
  }

  #heard({ items, timeoutMs, lost }: dispatcher.WorkResponse): void {
    if (timeoutMs > 0) this.#timeoutMs = timeoutMs;
    const aliveAtMs = this.#options.clock.now();
    for (const item of items) {
      const held = { item, session: this, aliveAtMs, isLost: false };
      this.#held.set(item.leaseId, held);
      this.#options.onHeld(held);
    }
    for (const leaseId of lost) {
      const held = this.#held.get(leaseId);
      if (held !== undefined) this.#lose(held);
    }
    if (this.#cancelTimer === undefined) this.#watch();
  }

  #lose(held: Held): void {
    const { leaseId } = held.item;
    held.isLost = true;
    this.#held.delete(leaseId);
    this.#lost.set(leaseId, held);
    this.#options.onLost(held);
  }

  // What belongs together in one turn of the event loop travels together.
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    if (this.#done.length === 0 && this.#outcomes.length === 0) return;
    this.#say({ done: this.#done, outcomes: this.#outcomes });
    this.#done = [];
    this.#outcomes = [];
  }

  /** One timer, for the job that has been silent for longest. */
  #watch(): void {
    this.#cancelTimer = undefined;
    const [first] = this.#held.values();
    if (first === undefined || this.#isOver) return;
    const { clock } = this.#options;
    const dueInMs = first.aliveAtMs + this.#signMs - clock.now();
    this.#cancelTimer = clock.after(Math.max(1, dueInMs), () => {
      this.#extend();
      this.#watch();
    });
  }

  #extend(): void {
    const now = this.#options.clock.now();
    for (const [leaseId, held] of this.#held) {
      if (held.aliveAtMs + this.#signMs > now) break;
      held.aliveAtMs = now;
      this.#held.delete(leaseId);
      this.#held.set(leaseId, held);
      this.#outcomes.push(common.Outcome.fromPartial({ leaseId, kind: EXTEND }));
    }
    this.#flush();
  }

  get #signMs(): number {
    return this.#timeoutMs / SIGNS_PER_TIMEOUT;
  }
}
