const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const BACKSLASH = 0x5c;
const ESCAPES: Record<string, number> = { n: 10, r: 13, t: 9, b: 8, a: 7 };

/** The arguments of an inline command: argument i is bytes[starts[i], ends[i]). */
export interface InlineArguments {
  bytes: Buffer;
  starts: number[];
  ends: number[];
}

/**
 * Splits an inline command as redis does (sdssplitargs): blanks separate, "..." knows \n \r \t \b
 * \a \" \\ \xHH, '...' knows \'. Undefined if quotes do not balance.
 */
export function splitInline(line: Uint8Array): InlineArguments | undefined {
  const split = new InlineSplit(line);
  return split.run() ? { bytes: split.bytes, starts: split.starts, ends: split.ends } : undefined;
}

class InlineSplit {
  readonly bytes: Buffer;
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  #read = 0;
  #write = 0;

  constructor(readonly line: Uint8Array) {
    // Unescaping never makes the text longer.
    this.bytes = Buffer.allocUnsafe(line.length);
  }

  run(): boolean {
    for (;;) {
      while (isBlank(this.#peek())) this.#read++;
      if (this.#peek() < 0) return true;
      this.starts.push(this.#write);
      if (!this.#word()) return false;
      this.ends.push(this.#write);
    }
  }

  #peek(ahead = 0): number {
    return this.line[this.#read + ahead] ?? -1;
  }

  #put(byte: number): void {
    this.bytes[this.#write++] = byte;
  }

  #word(): boolean {
    for (;;) {
      const byte = this.#peek();
      if (byte < 0 || isBlank(byte)) return true;
      this.#read++;
      if (byte === QUOTE || byte === APOSTROPHE) return this.#quoted(byte);
      this.#put(byte);
    }
  }

  #quoted(quote: number): boolean {
    for (;;) {
      const byte = this.#peek();
      if (byte < 0) return false;
      this.#read++;
      if (byte === quote) return this.#peek() < 0 || isBlank(this.#peek());
      if (byte === BACKSLASH && quote === QUOTE) this.#escape();
      else if (byte === BACKSLASH && this.#peek() === APOSTROPHE) this.#take();
      else this.#put(byte);
    }
  }

  #take(): void {
    this.#put(this.#peek());
    this.#read++;
  }

  #escape(): void {
    const byte = this.#peek();
    if (byte < 0) return;
    const hex = byte === 0x78 ? hexByte(this.#peek(1), this.#peek(2)) : -1;
    if (hex >= 0) {
      this.#put(hex);
      this.#read += 3;
      return;
    }
    this.#put(ESCAPES[String.fromCharCode(byte)] ?? byte);
    this.#read++;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 9 && byte <= 13);
}

function hexByte(high: number, low: number): number {
  const a = hexDigit(high);
  const b = hexDigit(low);
  return a < 0 || b < 0 ? -1 : a * 16 + b;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
