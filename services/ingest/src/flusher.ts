/** Something that gathers output and writes it when asked. */
export interface Flushable {
  flush(): void;
}

/**
 * Writes the output of everyone who got replies in this turn, once each: an answer of storage
 * settles many commands of many connections, and a write per reply would cost more than the job.
 */
export class Flusher {
  #dirty: Flushable[] = [];

  readonly #run = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const each of dirty) each.flush();
  };

  /** Will call `flush` before the event loop goes on. The caller asks once per turn. */
  add(target: Flushable): void {
    if (this.#dirty.push(target) === 1) process.nextTick(this.#run);
  }
}
