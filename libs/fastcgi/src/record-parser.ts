import { END_REQUEST, HEADER_BYTES, REQUEST_ID, STDERR, STDOUT } from './record.js';

const END_BODY_BYTES = 8;

/** What a response is made of; contents come in pieces as the network cut them. */
export interface RecordSink {
  /** Valid only during the call: the caller reuses the memory of `chunk`. */
  stdout(chunk: Buffer, start: number, end: number): void;
  /** As `stdout`. */
  stderr(chunk: Buffer, start: number, end: number): void;
  /** The END_REQUEST record is read whole, with its padding. */
  end(appStatus: number, protocolStatus: number): void;
}

/**
 * Takes a server's bytes, cut anywhere, apart into records. Allocates nothing per record. Skips
 * records of unknown types and of other requests. Never throws: returns the fault instead, after
 * which the connection is of no use.
 */
export class RecordParser {
  #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #type = 0;
  #contentLeft = 0;
  #paddingLeft = 0;
  /** An END_REQUEST of ours is under way; its last three bytes may be garbage. */
  #ending = false;
  #endBody = Buffer.alloc(END_BODY_BYTES);
  #endFilled = 0;

  constructor(private readonly sink: RecordSink) {}

  /** True when the bytes so far end with a whole record. */
  get atBoundary(): boolean {
    return this.#headerFilled + this.#contentLeft + this.#paddingLeft === 0;
  }

  push(chunk: Buffer): string | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#contentLeft > 0) at = this.#takeContent(chunk, at);
      else if (this.#paddingLeft > 0) at = this.#skipPadding(chunk, at);
      else {
        const next = this.#takeHeader(chunk, at);
        if (typeof next === 'string') return next;
        at = next;
      }
      if (this.#ending && this.#contentLeft + this.#paddingLeft === 0) {
        this.#finish();
        return at < chunk.length ? 'bytes behind END_REQUEST' : undefined;
      }
    }
    return undefined;
  }

  #takeHeader(chunk: Buffer, at: number): number | string {
    if (this.#headerFilled === 0 && chunk.length - at >= HEADER_BYTES) {
      return this.#readHeader(chunk, at) ?? at + HEADER_BYTES;
    }
    const end = Math.min(chunk.length, at + HEADER_BYTES - this.#headerFilled);
    chunk.copy(this.#header, this.#headerFilled, at, end);
    this.#headerFilled += end - at;
    if (this.#headerFilled < HEADER_BYTES) return end;
    this.#headerFilled = 0;
    return this.#readHeader(this.#header, 0) ?? end;
  }

  /** Returns the fault, if any. */
  #readHeader(from: Buffer, at: number): string | undefined {
    const version = from[at];
    if (version !== 1) return `not a FastCGI record: version ${version} instead of 1`;
    const type = from[at + 1] as number;
    const requestId = from.readUInt16BE(at + 2);
    const contentBytes = from.readUInt16BE(at + 4);
    // Type 0 is of no record: contents of other requests and of management records are skipped.
    this.#type = requestId === REQUEST_ID ? type : 0;
    this.#contentLeft = contentBytes;
    this.#paddingLeft = from[at + 6] as number;
    if (this.#type !== END_REQUEST) return undefined;
    if (contentBytes < END_BODY_BYTES) return `END_REQUEST of ${contentBytes} bytes instead of 8`;
    this.#ending = true;
    this.#endFilled = 0;
    return undefined;
  }

  #takeContent(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#contentLeft);
    this.#contentLeft -= end - at;
    if (this.#type === STDOUT) this.sink.stdout(chunk, at, end);
    else if (this.#type === STDERR) this.sink.stderr(chunk, at, end);
    else if (this.#type === END_REQUEST) this.#takeEndBody(chunk, at, end);
    return end;
  }

  #takeEndBody(chunk: Buffer, at: number, end: number): void {
    const wanted = Math.min(end - at, END_BODY_BYTES - this.#endFilled);
    chunk.copy(this.#endBody, this.#endFilled, at, at + wanted);
    this.#endFilled += wanted;
  }

  #skipPadding(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#paddingLeft);
    this.#paddingLeft -= end - at;
    return end;
  }

  #finish(): void {
    this.#ending = false;
    this.sink.end(this.#endBody.readUInt32BE(0), this.#endBody[4] as number);
  }
}
