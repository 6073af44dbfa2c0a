/**
 * Which messages of a channel are out, and how to acknowledge those that are settled with few words.
 * Tags are given out in their order.
 */
export class Acknowledgements {
  readonly #pending = new Set<number>();

  constructor(private readonly ack: (tag: number, allUpTo: boolean) => void) {}

  /** Messages that are out. */
  get size(): number {
    return this.#pending.size;
  }

  add(tag: number): void {
    this.#pending.add(tag);
  }

  /** Acknowledges messages, with one word as far as no message before them is still out. */
  settle(tags: readonly number[]): void {
    for (const tag of tags) this.#pending.delete(tag);
    const [oldest = Number.POSITIVE_INFINITY] = this.#pending;
    let upTo = 0;
    for (const tag of tags) {
      if (tag < oldest) upTo = Math.max(upTo, tag);
      else this.ack(tag, false);
    }
    if (upTo > 0) this.ack(upTo, true);
  }
}
