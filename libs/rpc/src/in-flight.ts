/**
 * Counts the calls that an endpoint was given and has not answered. A call counts from the moment of
 * the choice, so that a burst spreads. grpc-js may drop it before it starts, without a word: what
 * has not started when the turn ends is forgotten.
 */
export class InFlight {
  #chosen = 0;
  #started = 0;

  get count(): number {
    return this.#chosen + this.#started;
  }

  /** The endpoint was chosen for a call. */
  chosen(): void {
    if (this.#chosen++ > 0) return;
    setImmediate(() => {
      this.#chosen = 0;
    });
  }

  /** That call goes out. */
  started(): void {
    if (this.#chosen > 0) this.#chosen--;
    this.#started++;
  }

  /** It has its answer. */
  ended(): void {
    this.#started--;
  }
}
