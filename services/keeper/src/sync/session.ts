import type { sync } from '@malabar/contracts';
import { BusError, toBusError } from '@malabar/core';
import type { Following } from './following.js';

/**
 * The stream of one node. Nothing is queued for it: it holds which domains have something to say,
 * and works the next message out when the transport takes one.
 */
export class Session {
  readonly #followings: ReadonlyMap<string, Following>;
  readonly #due: Set<Following>;
  #wake: (() => void) | undefined;
  #over = false;
  #reason: BusError | undefined;

  constructor(
    readonly nodeId: string,
    followings: readonly Following[],
  ) {
    this.#followings = new Map(followings.map((one) => [one.domain, one]));
    this.#due = new Set(followings);
  }

  get followings(): Iterable<Following> {
    return this.#followings.values();
  }

  /** Looks at a domain again, as soon as the node takes another message. */
  due(following: Following): void {
    this.#due.add(following);
    this.#notify();
  }

  /** Says everything again. */
  remind(): void {
    for (const following of this.#followings.values()) {
      following.remind();
      this.#due.add(following);
    }
    this.#notify();
  }

  /** Ends the stream; with a reason, the node gets that error. */
  end(reason?: BusError): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = reason;
    this.#notify();
  }

  /** Listens to the node until its stream ends, and then ends the session. Never throws. */
  async listen(requests: AsyncIterator<sync.SyncRequest>): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await requests.next();
        if (done || this.#over) return this.end();
        this.#handle(value);
      }
    } catch (thrown) {
      this.end(toBusError(thrown));
    }
  }

  /** What the node gets, until the session ends. */
  async *messages(): AsyncGenerator<sync.SyncResponse, void, undefined> {
    while (!this.#over) {
      const [following] = this.#due;
      if (following === undefined) await this.#something();
      else {
        this.#due.delete(following);
        const message = await following.next();
        if (message !== undefined && !this.#over) yield message;
      }
    }
    if (this.#reason !== undefined) throw this.#reason;
  }

  #handle({ message }: sync.SyncRequest): void {
    if (message?.$case === 'pull') {
      const following = this.#following(message.value.domain);
      following.pull();
      this.due(following);
    } else if (message?.$case === 'report') {
      const following = this.#following(message.value.domain);
      if (following.reported(message.value)) this.due(following);
    } else {
      const what = message?.$case === 'hello' ? 'hello is said once' : 'the message is empty';
      throw new BusError('INVALID', `node ${this.nodeId}: ${what}`);
    }
  }

  #following(domain: string): Following {
    const following = this.#followings.get(domain);
    if (following !== undefined) return following;
    const message = `node ${this.nodeId}: its hello did not ask for domain ${JSON.stringify(domain)}`;
    throw new BusError('INVALID', message);
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
