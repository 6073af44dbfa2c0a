/**
 * The beginning and the end of an output, whatever its length, in at most `bytesMax` bytes; a marker
 * says how much is missing in between.
 */
export class OutputKeeper {
  readonly #headMax: number;
  readonly #tail: Buffer;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  /** Bytes that went past the head; the ring holds the last of them. */
  #tailBytes = 0;

  constructor(bytesMax: number) {
    this.#headMax = Math.floor(bytesMax / 2);
    this.#tail = Buffer.alloc(bytesMax - this.#headMax);
  }

  /** Bytes seen. */
  get total(): number {
    return this.#headBytes + this.#tailBytes;
  }

  /** Takes a chunk; what it keeps it copies. */
  push(chunk: Buffer): void {
    const room = this.#headMax - this.#headBytes;
    const head = chunk.subarray(0, room);
    if (head.length > 0) {
      this.#head.push(Buffer.from(head));
      this.#headBytes += head.length;
    }
    if (chunk.length > room) this.#pushTail(chunk.subarray(Math.max(0, room)));
  }

  #pushTail(chunk: Buffer): void {
    const size = this.#tail.length;
    const kept = chunk.subarray(Math.max(0, chunk.length - size));
    const at = (this.#tailBytes + chunk.length - kept.length) % (size || 1);
    const first = Math.min(kept.length, size - at);
    kept.copy(this.#tail, at, 0, first);
    kept.copy(this.#tail, 0, first);
    this.#tailBytes += chunk.length;
  }

  /** What is kept, with the marker if something is missing. */
  bytes(): Buffer {
    const size = this.#tail.length;
    if (this.#tailBytes <= size) {
      return Buffer.concat([...this.#head, this.#tail.subarray(0, this.#tailBytes)]);
    }
    const at = this.#tailBytes % size;
    const missing = (this.#tailBytes - size).toLocaleString('en');
    const marker = Buffer.from(`\n[... ${missing} bytes are left out here ...]\n`);
    return Buffer.concat([
      ...this.#head,
      marker,
      this.#tail.subarray(at),
      this.#tail.subarray(0, at),
    ]);
  }

  /** `bytes` as text; bytes that are no UTF-8 become U+FFFD. */
  text(): string {
    return this.bytes().toString('utf8');
  }
}
