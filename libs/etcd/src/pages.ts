import type { EtcdEntry, RangeAnswer, RangeRequest } from './connection.js';
import { after, prefixRange } from './keys.js';

/** What one answer should have, about. */
const PAGE_BYTES = 1024 * 1024;
const FIRST_PAGE = 64;
const PAGE_MAX = 2000;

/** A listing that is read in pages, all at the revision of the first. */
export class Pages {
  readonly #entries: EtcdEntry[] = [];
  readonly #limit: number;
  #next: RangeRequest | undefined;
  #revision = 0;

  constructor(
    prefix: string,
    options: { limit?: number; after?: string; reverse?: boolean | undefined },
  ) {
    const { reverse = false } = options;
    this.#limit = options.limit ?? Number.POSITIVE_INFINITY;
    const limit = Math.min(FIRST_PAGE, this.#limit);
    this.#next = { ...prefixRange(prefix), limit, reverse };
    if (options.after !== undefined) this.#goOnBehind(this.#next, options.after);
  }

  /** What to ask for; undefined when all is there. */
  get next(): RangeRequest | undefined {
    return this.#next;
  }

  get listing(): { entries: EtcdEntry[]; revision: number } {
    return { entries: this.#entries, revision: this.#revision };
  }

  add({ entries, more, revision }: RangeAnswer): void {
    this.#revision ||= revision;
    this.#entries.push(...entries);
    const last = entries.at(-1);
    const left = this.#limit - this.#entries.length;
    const request = this.#next as RangeRequest;
    this.#next = undefined;
    if (!more || last === undefined || left <= 0) return;
    const limit = Math.min(left, fittingPage(entries));
    this.#next = { ...request, revision: this.#revision, limit };
    this.#goOnBehind(this.#next, last.key);
  }

  #goOnBehind(request: RangeRequest, key: string): void {
    const edge = Buffer.from(key);
    const { start, end, reverse } = request;
    const endless = end.equals(Buffer.of(0));
    if (reverse && (endless || Buffer.compare(edge, end) < 0)) request.end = edge;
    if (!reverse && Buffer.compare(edge, start) >= 0) request.start = after(edge);
  }
}

function fittingPage(entries: readonly EtcdEntry[]): number {
  let bytes = 0;
  for (const { key, value } of entries) bytes += key.length + value.length;
  const fitting = Math.floor((entries.length * PAGE_BYTES) / bytes);
  return Math.max(1, Math.min(PAGE_MAX, fitting));
}
