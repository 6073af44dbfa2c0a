import { isUtf8 } from 'node:buffer';
import { PhpSerializeError } from './error.js';

const COLON = 0x3a;
const QUOTE = 0x22;
const SEMICOLON = 0x3b;

/** A number's text is never longer, whatever `serialize_precision` the writer had. */
const NUMBER_BYTES_MAX = 512;
const LENGTH = /^\d{1,10}$/;
const INTEGER = /^[+-]?\d{1,20}$/;
const DOUBLE = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Takes the tokens of `serialize()` from bytes, one after the other; each byte is looked at once. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#at;
  }

  get bytesLeft(): number {
    return this.#bytes.length - this.#at;
  }

  /** Takes a byte as a character; the end of the bytes is an error. */
  character(): string {
    if (this.bytesLeft === 0) throw this.#ended();
    return String.fromCharCode(this.#bytes[this.#at++] as number);
  }

  /** Takes exactly this text, which is ASCII. */
  expect(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (this.bytesLeft === 0) throw this.#ended();
      if (this.#bytes[this.#at] !== text.charCodeAt(i)) {
        throw new PhpSerializeError(`${JSON.stringify(text[i])} expected`, this.#at);
      }
      this.#at++;
    }
  }

  /** Takes a length or count and the `:` behind it. */
  length(): number {
    const start = this.#at;
    const text = this.#until(COLON);
    if (text.startsWith('-')) throw new PhpSerializeError(`negative length ${text}`, start);
    if (!LENGTH.test(text)) throw new PhpSerializeError(`${shown(text)} is no length`, start);
    return Number(text);
  }

  /** Takes an integer and the `;` behind it; one that a double cannot hold exactly is refused. */
  integer(): number {
    const start = this.#at;
    const text = this.#until(SEMICOLON);
    if (!INTEGER.test(text)) throw new PhpSerializeError(`${shown(text)} is no integer`, start);
    const value = Number(text);
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
    throw new PhpSerializeError(`integer ${text} is beyond 2^53 and would lose digits`, start);
  }

  /** Takes a double and the `;` behind it; INF and NAN, which JSON cannot say, are refused. */
  double(): number {
    const start = this.#at;
    const text = this.#until(SEMICOLON);
    const value = DOUBLE.test(text) ? Number(text) : Number.NaN;
    if (Number.isFinite(value)) return value;
    const known = /^-?INF$|^NAN$/.test(text) || !Number.isNaN(value);
    const reason = known ? `${shown(text)} has no place in JSON` : `${shown(text)} is no double`;
    throw new PhpSerializeError(reason, start);
  }

  /** Takes `length:"..."`; the length counts bytes, and they must be UTF-8. */
  text(): string {
    const start = this.#at;
    const length = this.length();
    this.expect('"');
    if (length > this.bytesLeft) {
      throw new PhpSerializeError(`a length of ${length} where ${this.bytesLeft} follow`, start);
    }
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (!isUtf8(bytes)) throw new PhpSerializeError('a string that is not UTF-8', this.#at);
    this.#at += length;
    if (this.#bytes[this.#at] !== QUOTE) {
      if (this.bytesLeft === 0) throw this.#ended();
      throw new PhpSerializeError(`a string that is not ${length} bytes long`, start);
    }
    this.#at++;
    return bytes.toString('utf8');
  }

  /** ASCII up to `end`, which is taken too. */
  #until(end: number): string {
    const last = Math.min(this.#bytes.length, this.#at + NUMBER_BYTES_MAX);
    let at = this.#at;
    while (at < last && this.#bytes[at] !== end) at++;
    if (at === this.#bytes.length) throw this.#ended();
    if (at === last) throw new PhpSerializeError('a number without end', this.#at);
    const text = this.#bytes.toString('latin1', this.#at, at);
    this.#at = at + 1;
    return text;
  }

  #ended(): PhpSerializeError {
    return new PhpSerializeError('the bytes end in the middle of a value', this.#bytes.length);
  }
}

const SHOWN_MAX = 40;

/** Foreign text in an error: quoted, and not all of it. */
export function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text);
}
