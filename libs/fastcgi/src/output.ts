const NOTHING = Buffer.alloc(0);

/** Collects copies of what one stream of a response carries, up to a limit. */
export class Output {
  #bytesMax = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** More came than the limit; what is over it was dropped. */
  overflown = false;

  /** Forgets what it has and begins anew. */
  start(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#bytes = 0;
    this.overflown = false;
    if (this.#pieces.length > 0) this.#pieces = [];
  }

  add(chunk: Buffer, start: number, end: number): void {
    const room = this.#bytesMax - this.#bytes;
    if (end - start > room) this.overflown = true;
    const taken = Math.min(end - start, room);
    if (taken <= 0) return;
    const copy = Buffer.allocUnsafe(taken);
    chunk.copy(copy, 0, start, start + taken);
    this.#pieces.push(copy);
    this.#bytes += taken;
  }

  /** All of it as one buffer. */
  take(): Buffer {
    const pieces = this.#pieces;
    return pieces.length === 1 ? (pieces[0] ?? NOTHING) : Buffer.concat(pieces, this.#bytes);
  }

  get text(): string {
    return this.#bytes === 0 ? '' : this.take().toString('utf8');
  }
}
