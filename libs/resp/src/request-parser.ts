import { splitInline } from './inline.js';
import { INLINE_BYTES_MAX, type RequestLimits } from './limits.js';

const CR = 13;
const LF = 10;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const NINE = 0x39;
const ZERO = 0x30;

/** A length has at most this many digits, so no header line can grow. */
const DIGITS_MAX = 10;
/** Largest valid header line: prefix, sign, digits, line end. */
const HEADER_BYTES_MAX = DIGITS_MAX + 4;
/** What an argument costs us beside its bytes. */
const ARGUMENT_BYTES = 16;
/** Argument lists longer than this are not kept for the next command. */
const KEPT_ARGUMENTS_MAX = 1024;
const GATHER_BYTES_MIN = 256;

/** What is expected next. */
const State = { Idle: 0, Inline: 1, Count: 2, Length: 3, Body: 4, Skip: 5 } as const;
type State = (typeof State)[keyof typeof State];

/** How a step of reading ended; Again: something was passed over in silence. */
const Step = { Done: 0, More: 1, Failed: 2, Again: 3 } as const;
type Step = (typeof Step)[keyof typeof Step];

/**
 * Reads requests of Redis clients (RESP multi-bulk and inline commands) out of the buffers of a
 * socket. Pull: `feed` one chunk, then call `next` until it says false. A command that lies in one
 * chunk is visible in place, as offsets into the chunk; one that is split is gathered once, in a
 * buffer that grows with the bytes that really arrive. After a protocol error the parser is dead;
 * the connection has to be closed, as redis does. https://redis.io/docs/latest/develop/reference/protocol-spec
 */
export class RequestParser {
  /** What the offsets refer to; valid, like them, until the next call of `next`. */
  bytes: Buffer = EMPTY;
  /** Argument i is bytes[starts[i], ends[i]). */
  starts: number[] = [];
  ends: number[] = [];
  /** Number of arguments, the command's name included. */
  count = 0;
  /** Announced length of the argument that was too long and skipped; 0 if all is here. */
  oversizeBytes = 0;
  /** Text of the error reply without `-`, once the peer broke the protocol. */
  protocolError: string | undefined;

  readonly #limits: Readonly<RequestLimits>;
  #state: State = State.Idle;
  #chunk: Buffer = EMPTY;
  #pos = 0;
  #end = 0;
  /** Where the command began in `bytes`. */
  #begin = 0;
  /** Where we go on in the chunk while `bytes` is a gathered command. */
  #chunkPos = 0;
  #gathering = false;
  #argumentsLeft = 0;
  #number = 0;
  /** Bytes of the present argument that are still to come (Body: its length; Skip: with line end). */
  #bulkBytes = 0;
  #commandBytes = 0;
  #searched = 0;

  constructor(limits: Readonly<RequestLimits>) {
    this.#limits = limits;
  }

  /** Bytes that the parser itself holds: the command that is being gathered. */
  get bufferedBytes(): number {
    return this.#gathering ? this.bytes.length : 0;
  }

  /** Nothing of a command has been read: the connection may be closed without losing anything. */
  get idle(): boolean {
    return this.#state === State.Idle && this.#unread === 0;
  }

  /** Hands over the next chunk; the one before must have been read until `next` said false. */
  feed(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#chunkPos = 0;
    if (this.#gathering) return;
    this.bytes = chunk;
    this.#pos = 0;
    this.#end = chunk.length;
  }

  /** Reads on to the next whole command. False: more bytes are needed, or the protocol was broken. */
  next(): boolean {
    if (this.#state === State.Idle) this.#release();
    while (this.protocolError === undefined) {
      const step = this.#advance();
      if (step === Step.Done) return true;
      if (step === Step.More && !this.#refill()) return false;
    }
    return false;
  }

  /** Argument `index`, sharing memory with the chunk. */
  argument(index: number): Buffer {
    return this.bytes.subarray(this.starts[index], this.ends[index]);
  }

  /** Argument `index` as text. */
  text(index: number): string {
    return this.bytes.toString('utf8', this.starts[index], this.ends[index]);
  }

  get #unread(): number {
    return this.#gathering ? this.#chunk.length - this.#chunkPos : this.#end - this.#pos;
  }

  #release(): void {
    if (this.starts.length > KEPT_ARGUMENTS_MAX) {
      this.starts = [];
      this.ends = [];
    }
    this.count = 0;
    this.oversizeBytes = 0;
    if (!this.#gathering) return;
    this.#gathering = false;
    this.bytes = this.#chunk;
    this.#pos = this.#chunkPos;
    this.#end = this.#chunk.length;
  }

  #fail(text: string): Step {
    this.protocolError = `ERR Protocol error: ${text}`;
    this.#chunk = EMPTY;
    this.bytes = EMPTY;
    this.#gathering = false;
    this.#pos = this.#end = 0;
    return Step.Failed;
  }

  #advance(): Step {
    if (this.#state === State.Idle) {
      if (this.#pos === this.#end) return Step.More;
      this.#begin = this.#searched = this.#pos;
      this.#state = this.bytes[this.#pos] === ASTERISK ? State.Count : State.Inline;
    }
    if (this.#state === State.Inline) return this.#readInline();
    if (this.#state === State.Count) {
      const step = this.#readCount();
      if (step !== Step.Done) return step;
    }
    return this.#readArguments();
  }

  #readCount(): Step {
    const step = this.#readNumber('invalid multibulk length');
    if (step !== Step.Done) return step;
    if (this.#number > this.#limits.argsMax) return this.#fail('invalid multibulk length');
    this.#argumentsLeft = Math.max(0, this.#number);
    this.#commandBytes = 0;
    this.#state = State.Length;
    return Step.Done;
  }

  #readArguments(): Step {
    // Redis passes over `*0` and `*-1` in silence.
    if (this.#argumentsLeft === 0) return this.#pass();
    while (this.#argumentsLeft > 0) {
      let step: Step = Step.Done;
      if (this.#state === State.Length) step = this.#readLength();
      if (step === Step.Done)
        step = this.#state === State.Body ? this.#readBody() : this.#readSkipped();
      if (step !== Step.Done) return step;
    }
    this.#state = State.Idle;
    return Step.Done;
  }

  #pass(): Step {
    this.#state = State.Idle;
    this.#release();
    return Step.Again;
  }

  /** A header line: one prefix byte, a number as redis accepts it, CR LF. */
  #readNumber(error: string): Step {
    const bytes = this.bytes;
    const end = this.#end;
    let at = this.#pos + 1;
    const negative = at < end && bytes[at] === 0x2d;
    if (negative) at++;
    const first = at;
    let value = 0;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte < ZERO || byte > NINE) break;
      value = value * 10 + (byte - ZERO);
      if (at - first >= DIGITS_MAX || (bytes[first] === ZERO && (negative || at > first))) {
        return this.#fail(error);
      }
    }
    if (at === end) return Step.More;
    if (at === first || bytes[at] !== CR) return this.#fail(error);
    if (at + 1 === end) return Step.More;
    if (bytes[at + 1] !== LF) return this.#fail(error);
    this.#pos = at + 2;
    this.#number = negative ? -value : value;
    return Step.Done;
  }

  #readLength(): Step {
    if (this.#pos === this.#end) return Step.More;
    const header = this.#pos;
    const prefix = this.bytes[header] as number;
    if (prefix !== DOLLAR) return this.#fail(`expected '$', got '${printable(prefix)}'`);
    const step = this.#readNumber('invalid bulk length');
    if (step !== Step.Done) return step;
    const length = this.#number;
    if (length < 0) return this.#fail('invalid bulk length');
    this.#commandBytes += length + ARGUMENT_BYTES;
    const { bulkBytesMax, commandBytesMax, skipBytesMax } = this.#limits;
    if (this.#commandBytes > Math.max(skipBytesMax, commandBytesMax)) {
      return this.#fail('invalid bulk length');
    }
    if (length > bulkBytesMax || this.#commandBytes > commandBytesMax) {
      this.oversizeBytes ||= length > bulkBytesMax ? length : this.#commandBytes;
    }
    this.#startBulk(header, length);
    return Step.Done;
  }

  #startBulk(header: number, length: number): void {
    const skip = this.oversizeBytes > 0;
    this.#state = skip ? State.Skip : State.Body;
    this.#bulkBytes = skip ? length + 2 : length;
    // The command will be refused, so what we gathered of its headers need not be kept.
    if (skip && this.#gathering) this.#pos = this.#end = header;
  }

  #readBody(): Step {
    const bodyEnd = this.#pos + this.#bulkBytes;
    if (this.#end < bodyEnd + 2) return this.#checkTerminator(bodyEnd);
    if (this.bytes[bodyEnd] !== CR || this.bytes[bodyEnd + 1] !== LF) return this.#misframed();
    this.#take(this.#pos, bodyEnd);
    this.#pos = bodyEnd + 2;
    return Step.Done;
  }

  #checkTerminator(bodyEnd: number): Step {
    return bodyEnd < this.#end && this.bytes[bodyEnd] !== CR ? this.#misframed() : Step.More;
  }

  /** Usually a client that counts characters instead of bytes. Redis finds out one header later. */
  #misframed(): Step {
    return this.#fail('invalid bulk length');
  }

  #readSkipped(): Step {
    if (!this.#gathering) {
      const here = Math.min(this.#bulkBytes, this.#end - this.#pos);
      this.#pos += here;
      this.#bulkBytes -= here;
    }
    if (this.#bulkBytes > 0) return Step.More;
    this.#take(this.#begin, this.#begin);
    return Step.Done;
  }

  #take(start: number, end: number): void {
    this.starts[this.count] = start;
    this.ends[this.count++] = end;
    this.#argumentsLeft--;
    this.#state = State.Length;
  }

  #readInline(): Step {
    const newline = this.bytes.indexOf(LF, this.#searched);
    const found = newline >= 0 && newline < this.#end;
    const lineEnd = found ? newline + 1 : this.#end;
    if (lineEnd - this.#begin > INLINE_BYTES_MAX) return this.#fail('too big inline request');
    this.#searched = this.#end;
    if (!found) return Step.More;
    this.#pos = lineEnd;
    const cr = newline > this.#begin && this.bytes[newline - 1] === CR;
    const line = splitInline(this.bytes.subarray(this.#begin, cr ? newline - 1 : newline));
    if (line === undefined) return this.#fail('unbalanced quotes in request');
    if (line.starts.length === 0) return this.#pass();
    this.#presentInline(line);
    return Step.Done;
  }

  /** The unescaped copy takes the place of a gathered command; the chunk goes on behind the line. */
  #presentInline(line: { bytes: Buffer; starts: number[]; ends: number[] }): void {
    if (!this.#gathering) this.#chunkPos = this.#pos;
    this.#gathering = true;
    this.bytes = line.bytes;
    this.starts = line.starts;
    this.ends = line.ends;
    this.count = line.starts.length;
    this.#state = State.Idle;
  }

  /** Moves bytes from the chunk into the gathered command, never past its end. False: none left. */
  #refill(): boolean {
    if (!this.#gathering && !this.#startGathering()) return false;
    const available = this.#chunk.length - this.#chunkPos;
    if (available === 0) {
      this.#chunk = EMPTY;
      this.#chunkPos = 0;
      return false;
    }
    if (this.#state === State.Skip) return this.#skipInChunk(available);
    const wanted = Math.min(this.#wantedBytes(), available);
    this.#reserve(wanted);
    this.#chunk.copy(this.bytes, this.#end, this.#chunkPos, this.#chunkPos + wanted);
    this.#end += wanted;
    this.#chunkPos += wanted;
    return true;
  }

  #skipInChunk(available: number): boolean {
    const here = Math.min(this.#bulkBytes, available);
    this.#bulkBytes -= here;
    this.#chunkPos += here;
    return true;
  }

  #wantedBytes(): number {
    if (this.#state === State.Body) return this.#pos + this.#bulkBytes + 2 - this.#end;
    const newline = this.#chunk.indexOf(LF, this.#chunkPos);
    const line = newline < 0 ? this.#chunk.length : newline + 1;
    const most = this.#state === State.Inline ? INLINE_BYTES_MAX + 1 : HEADER_BYTES_MAX;
    return Math.min(line - this.#chunkPos, most);
  }

  #startGathering(): boolean {
    const held = this.#state === State.Skip ? 0 : this.#end - this.#begin;
    if (this.#state === State.Idle) {
      // Between two commands: nothing to keep, and the chunk is free to go.
      this.bytes = this.#chunk = EMPTY;
      this.#pos = this.#end = 0;
      return false;
    }
    const source = this.bytes;
    const from = this.#begin;
    const keep = held > 0 ? held : this.#keptArgumentBytes();
    this.#chunkPos = this.#chunk.length;
    this.bytes = EMPTY;
    this.#end = 0;
    this.#gathering = true;
    this.#reserve(keep);
    source.copy(this.bytes, 0, from, from + keep);
    this.#end = keep;
    this.#rebase(from, keep);
    return true;
  }

  /** A skipped argument is no reason to keep its chunk; the name and queue before it are. */
  #keptArgumentBytes(): number {
    let end = this.#begin;
    for (let i = 0; i < this.count; i++) end = Math.max(end, this.ends[i] as number);
    return end - this.#begin;
  }

  #rebase(from: number, keep: number): void {
    for (let i = 0; i < this.count; i++) {
      this.starts[i] = (this.starts[i] as number) - from;
      this.ends[i] = (this.ends[i] as number) - from;
    }
    this.#pos = Math.min(this.#pos - from, keep);
    this.#searched -= from;
    this.#begin = 0;
  }

  /** Room for `more` bytes: doubled, but never beyond what the present argument was announced to be. */
  #reserve(more: number): void {
    const needed = this.#end + more;
    if (needed <= this.bytes.length) return;
    let size = Math.max(needed, this.#end * 2, GATHER_BYTES_MIN);
    if (this.#state === State.Body && this.#argumentsLeft === 1) {
      size = Math.max(needed, Math.min(size, this.#pos + this.#bulkBytes + 2));
    }
    const larger = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(larger, 0, 0, this.#end);
    this.bytes = larger;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);

function printable(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
}
