const LF = 10;
const CR = 13;

/** Takes what a LineReader finds. */
export interface LineSink {
  /** One line that is not empty, source[start, end) without its end. */
  line(source: Buffer, start: number, end: number): void;
  /** A line over the limit, of at least `bytes` bytes, that was passed over. */
  oversize(bytes: number): void;
}

/** Splits chunks into lines and holds at most one unfinished line up to the limit. */
export class LineReader {
  readonly #limit: number;
  readonly #sink: LineSink;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The present line is over the limit; its rest is passed over. */
  #skipping = false;

  constructor(limitBytes: number, sink: LineSink) {
    this.#limit = limitBytes;
    this.#sink = sink;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      const newline = chunk.indexOf(LF, at);
      if (newline < 0) break;
      this.#finish(chunk, at, newline);
      at = newline + 1;
    }
    if (at < chunk.length) this.#hold(chunk.subarray(at));
  }

  /** The last line may have no end. */
  end(): void {
    this.#finish(EMPTY, 0, 0);
  }

  #finish(chunk: Buffer, start: number, end: number): void {
    if (this.#skipping) {
      this.#skipping = false;
      return;
    }
    if (this.#held.length === 0) {
      this.#emit(chunk, start, end);
      return;
    }
    const line = Buffer.concat([...this.#held, chunk.subarray(start, end)]);
    this.#held = [];
    this.#heldBytes = 0;
    this.#emit(line, 0, line.length);
  }

  #emit(source: Buffer, start: number, end: number): void {
    const last = end > start && source[end - 1] === CR ? end - 1 : end;
    if (last - start > this.#limit) this.#sink.oversize(last - start);
    else if (last > start) this.#sink.line(source, start, last);
  }

  #hold(rest: Buffer): void {
    if (this.#skipping) return;
    this.#heldBytes += rest.length;
    // One byte more than the limit may be the CR.
    if (this.#heldBytes > this.#limit + 1) {
      this.#sink.oversize(this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
      this.#skipping = true;
    } else this.#held.push(rest);
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
