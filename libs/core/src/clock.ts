/** Time comes in through constructors; nothing in the bus calls Date.now() itself. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Calls `run` once after `delayMs`; returns the cancel function. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, 2 ** 31 - 1));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Calls `run` every `periodMs` until the returned function is called; a run never overlaps itself. */
export function every(clock: Clock, periodMs: number, run: () => void | Promise<void>): () => void {
  let stopped = false;
  let cancel = clock.after(periodMs, tick);
  async function tick(): Promise<void> {
    await run();
    if (!stopped) cancel = clock.after(periodMs, tick);
  }
  return () => {
    stopped = true;
    cancel();
  };
}

/** Resolves after `delayMs`, at once if `signal` is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
    function done(): void {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    }
  });
}
