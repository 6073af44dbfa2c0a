import { varintLength, writeVarint } from '@malabar/core';

const BYTES_MIN = 64 * 1024;
/** Buffers that grew beyond this are not kept. */
const KEPT_BYTES_MAX = 1024 * 1024;
const KEPT_MAX = 8;

/** Tag of malabar.common.v1.Job.body: field 1, length-delimited. */
const BODY_TAG = 0x0a;
/** Two lengths and the tag. */
const OVERHEAD_BYTES_MAX = 12;

/** The buffers that batches are built in, one after the other. */
export class ScratchPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BYTES_MIN);
  }

  give(buffer: Buffer): void {
    if (buffer.length <= KEPT_BYTES_MAX && this.#free.length < KEPT_MAX) this.#free.push(buffer);
  }
}

/**
 * Jobs of a batch as length-delimited protobuf. A job that is only a body is written here directly
 * from the socket's chunk: this is the one copy and the one encoding of its way to the disk.
 */
export class FrameBuffer {
  readonly #pool: ScratchPool;
  #bytes: Buffer;
  #length = 0;

  constructor(pool: ScratchPool) {
    this.#pool = pool;
    this.#bytes = pool.take();
  }

  get length(): number {
    return this.#length;
  }

  /** Adds Job{body: source[start, end)}; `rest` are further fields, encoded already. */
  appendBody(source: Buffer, start: number, end: number, rest?: Uint8Array): void {
    const body = end - start;
    const restLength = rest === undefined ? 0 : rest.length;
    const field = body === 0 ? 0 : 1 + varintLength(body) + body;
    this.#reserve(field + restLength + OVERHEAD_BYTES_MAX);
    const bytes = this.#bytes;
    let at = writeVarint(bytes, this.#length, field + restLength);
    if (body > 0) {
      bytes[at++] = BODY_TAG;
      at = writeVarint(bytes, at, body);
      at += source.copy(bytes, at, start, end);
    }
    if (rest !== undefined) {
      bytes.set(rest, at);
      at += restLength;
    }
    this.#length = at;
  }

  /** Adds an encoded Job. */
  append(message: Uint8Array): void {
    this.#reserve(message.length + OVERHEAD_BYTES_MAX);
    const at = writeVarint(this.#bytes, this.#length, message.length);
    this.#bytes.set(message, at);
    this.#length = at + message.length;
  }

  /** The frames in memory of their own; the buffer must not be used any more. */
  take(): Buffer {
    // Storage may hold slices of a batch for long: they must not pin a scratch buffer.
    const frames = Buffer.allocUnsafe(this.#length);
    this.#bytes.copy(frames, 0, 0, this.#length);
    this.#pool.give(this.#bytes);
    return frames;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#pool.give(this.#bytes);
    this.#bytes = larger;
  }
}
