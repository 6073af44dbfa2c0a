/** A set of numbers kept as sorted, disjoint ranges [start, end): small while its numbers cluster. */
export class RangeSet {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #size = 0;

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  /** How many ranges it takes to write the set down. */
  get ranges(): number {
    return this.#starts.length;
  }

  has(value: number): boolean {
    const i = this.#rangeAtOrBefore(value);
    return i >= 0 && value < (this.#ends[i] as number);
  }

  /** Adds [start, end); returns how many numbers are new. */
  add(start: number, end: number): number {
    if (start >= end) return 0;
    let first = this.#rangeAtOrBefore(start);
    if (first < 0 || (this.#ends[first] as number) < start) first++;
    let last = first;
    let from = start;
    let to = end;
    let known = 0;
    while (last < this.#starts.length && (this.#starts[last] as number) <= end) {
      const s = this.#starts[last] as number;
      const e = this.#ends[last] as number;
      known += e - s;
      from = Math.min(from, s);
      to = Math.max(to, e);
      last++;
    }
    this.#replace(first, last, from, to);
    const added = to - from - known;
    this.#size += added;
    return added;
  }

  /** The first number at or after `value` that is not in the set. */
  firstMissing(value: number): number {
    const i = this.#rangeAtOrBefore(value);
    return i >= 0 && value < (this.#ends[i] as number) ? (this.#ends[i] as number) : value;
  }

  /** The first number after `value` that is in the set, or `limit` if none is below it. */
  nextPresent(value: number, limit: number): number {
    const next = this.#starts[this.#rangeAtOrBefore(value) + 1];
    return next === undefined ? limit : Math.min(next, limit);
  }

  /** How many numbers of [start, end) are in the set. */
  countIn(start: number, end: number): number {
    let count = 0;
    for (let i = Math.max(0, this.#rangeAtOrBefore(start)); i < this.#starts.length; i++) {
      const s = Math.max(start, this.#starts[i] as number);
      if (s >= end) break;
      count += Math.max(0, Math.min(end, this.#ends[i] as number) - s);
    }
    return count;
  }

  /** Takes the leading range away if it begins at or before `value`; returns its end, else `value`. */
  absorb(value: number): number {
    if (this.#starts.length === 0 || (this.#starts[0] as number) > value) return value;
    const start = this.#starts.shift() as number;
    const end = this.#ends.shift() as number;
    this.#size -= end - start;
    return Math.max(value, end);
  }

  /** Pairs of gap and length, each gap counted from the range before (the first from `base`). */
  encode(base: number): number[] {
    const pairs: number[] = [];
    let at = base;
    for (const [start, end] of this) {
      pairs.push(start - at, end - start);
      at = end;
    }
    return pairs;
  }

  /** The set that `encode` wrote. */
  static decode(base: number, pairs: readonly number[]): RangeSet {
    const set = new RangeSet();
    let at = base;
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const start = at + (pairs[i] as number);
      at = start + (pairs[i + 1] as number);
      set.add(start, at);
    }
    return set;
  }

  *[Symbol.iterator](): Generator<[start: number, end: number]> {
    for (let i = 0; i < this.#starts.length; i++)
      yield [this.#starts[i] as number, this.#ends[i] as number];
  }

  #replace(first: number, last: number, from: number, to: number): void {
    if (last - first === 1) {
      this.#starts[first] = from;
      this.#ends[first] = to;
      return;
    }
    this.#starts.splice(first, last - first, from);
    this.#ends.splice(first, last - first, to);
  }

  /** Index of the last range that starts at or before `value`; -1 if there is none. */
  #rangeAtOrBefore(value: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
