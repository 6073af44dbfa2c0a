import { BusError, type Clock } from '@malabar/core';
import type { Connection } from './connection.js';

interface Asked {
  resolve(alive: boolean): void;
  reject(error: Error): void;
  cancelTimer(): void;
}

type Stream = Awaited<ReturnType<Connection['keepAlives']>>;

/** Keeps leases alive over one stream to one member, however many they are. */
export class KeepAlives {
  /** Questions without an answer, by lease; etcd answers each in its turn. */
  readonly #asked = new Map<string, Asked[]>();
  #stream: Promise<Stream> | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  /** False if the lease has ended. */
  async ask(leaseId: string): Promise<boolean> {
    const answer = this.#answerTo(leaseId);
    try {
      this.#stream ??= this.#open();
      const stream = await this.#stream;
      stream.ask(leaseId);
    } catch (error) {
      this.#fail(error as Error);
    }
    return answer;
  }

  #answerTo(leaseId: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const late = () => this.#fail(this.#unavailable('no answer to a keep-alive'));
      const cancelTimer = this.clock.after(this.timeoutMs, late);
      const asked = this.#asked.get(leaseId) ?? [];
      asked.push({ resolve, reject, cancelTimer });
      this.#asked.set(leaseId, asked);
    });
  }

  #open(): Promise<Stream> {
    return this.connection.keepAlives({
      answered: (leaseId, alive) => this.#answered(leaseId, alive),
      ended: ({ message }) => this.#fail(this.#unavailable(message)),
    });
  }

  #answered(leaseId: string, alive: boolean): void {
    const waiting = this.#asked.get(leaseId);
    const asked = waiting?.shift();
    if (waiting?.length === 0) this.#asked.delete(leaseId);
    asked?.cancelTimer();
    asked?.resolve(alive);
  }

  /** All who wait hear it; the next question opens a new stream. */
  #fail(reason: Error): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.then(({ cancel }) => cancel()).catch(() => {});
    const waiting = [...this.#asked.values()].flat();
    this.#asked.clear();
    for (const { cancelTimer, reject } of waiting) {
      cancelTimer();
      reject(reason);
    }
  }

  close(): void {
    this.#fail(this.#unavailable('the client is closed'));
  }

  #unavailable(why: string): BusError {
    return new BusError('UNAVAILABLE', `etcd at ${this.connection.address}: ${why}`);
  }
}
