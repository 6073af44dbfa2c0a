import type { Clock } from '@malabar/core';

type Work = () => Promise<void>;

/** Work that is done one after the other, in the order in which it comes; and one alarm. */
export class Inbox {
  #works: Array<{ run: Work; drop?: () => void }> = [];
  #wake: (() => void) | undefined;
  #cancelAlarm: () => void = () => {};

  constructor(private readonly options: { clock: Clock; signal: AbortSignal }) {
    options.signal.addEventListener('abort', () => this.#close(), { once: true });
  }

  /** `drop` is called instead of `run` once it is over. */
  put(run: Work, drop?: () => void): void {
    if (this.options.signal.aborted) {
      drop?.();
      return;
    }
    this.#works.push({ run, drop });
    this.#wake?.();
  }

  /** Puts work when its time has come; takes the place of what was to be put before. */
  putAt(atMs: number, run: Work): void {
    const { clock } = this.options;
    this.#cancelAlarm();
    if (atMs === Infinity) return;
    this.#cancelAlarm = clock.after(Math.max(0, atMs - clock.now()), () => this.put(run));
  }

  /** Waits for work; undefined when it is over. */
  async next(): Promise<Work | undefined> {
    while (this.#works.length === 0 && !this.options.signal.aborted)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#works.shift()?.run;
  }

  #close(): void {
    this.#cancelAlarm();
    for (const { drop } of this.#works.splice(0)) drop?.();
    this.#wake?.();
  }
}
