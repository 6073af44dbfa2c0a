/** Items in the order of a number that each may change: the old place is left behind and skipped. */
export class DueHeap<T> {
  readonly #entries: Array<{ dueMs: number; item: T }> = [];
  readonly #dueMs = new Map<T, number>();

  /** Infinity: never. */
  set(item: T, dueMs: number): void {
    if (this.#dueMs.get(item) === dueMs) return;
    this.#dueMs.delete(item);
    if (dueMs === Infinity) return;
    this.#dueMs.set(item, dueMs);
    this.#push({ dueMs, item });
  }

  delete(item: T): void {
    this.#dueMs.delete(item);
  }

  /** When the first is due. */
  get nextMs(): number {
    this.#dropStale();
    return this.#entries[0]?.dueMs ?? Infinity;
  }

  /** Takes the first item if it is due. */
  take(nowMs: number): T | undefined {
    if (this.nextMs > nowMs) return undefined;
    const { item } = this.#pop();
    this.#dueMs.delete(item);
    return item;
  }

  #dropStale(): void {
    for (let top = this.#entries[0]; top !== undefined; top = this.#entries[0]) {
      if (this.#dueMs.get(top.item) === top.dueMs) return;
      this.#pop();
    }
  }

  #push(entry: { dueMs: number; item: T }): void {
    const entries = this.#entries;
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = entries[up] as typeof entry;
      if (above.dueMs <= entry.dueMs) break;
      entries[at] = above;
      at = up;
    }
    entries[at] = entry;
  }

  #pop(): { dueMs: number; item: T } {
    const entries = this.#entries;
    const top = entries[0] as { dueMs: number; item: T };
    const last = entries.pop() as typeof top;
    if (entries.length > 0) this.#sink(last);
    return top;
  }

  #sink(entry: { dueMs: number; item: T }): void {
    const entries = this.#entries;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = entries[down];
      if (left === undefined) break;
      const right = entries[down + 1];
      if (right !== undefined && right.dueMs < left.dueMs) down++;
      const child = entries[down] as typeof entry;
      if (child.dueMs >= entry.dueMs) break;
      entries[at] = child;
      at = down;
    }
    entries[at] = entry;
  }
}
