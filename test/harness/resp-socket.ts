import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** An error reply, as its text behind the `-`. */
export class ErrorReply extends Error {}

export type Value = string | number | null | ErrorReply | Value[];

/** A Redis connection without a client's habits: what a test writes goes out as it is. */
export class RespSocket {
  #received = Buffer.alloc(0);
  #closed = false;
  #wake = (): void => {};

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    // A reset is an end like any other to those who wait.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async open(port: number): Promise<RespSocket> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RespSocket(socket);
  }

  /** Sends one command and returns its reply; errors are returned, not thrown. */
  async ask(...words: Array<string | Uint8Array>): Promise<Value> {
    this.socket.write(command(words));
    return this.reply();
  }

  /** The next reply. Rejects when the connection ends before it is whole. */
  async reply(): Promise<Value> {
    for (;;) {
      const parsed = parse(this.#received, 0);
      if (parsed !== undefined) {
        this.#received = this.#received.subarray(parsed.end);
        return parsed.value;
      }
      if (this.#closed) throw new Error('the connection was closed');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The bytes of a command. */
export function command(words: ReadonlyArray<string | Uint8Array>): Buffer {
  const parts = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = Buffer.from(word);
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

interface Parsed {
  value: Value;
  end: number;
}

/** One RESP2 value that begins at `at`; undefined while it is not whole. */
function parse(bytes: Buffer, at: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case '+':
      return { value: line, end };
    case '-':
      return { value: new ErrorReply(line), end };
    case ':':
      return { value: Number(line), end };
    case '$':
      return parseBulk(bytes, Number(line), end);
    case '*':
      return parseArray(bytes, Number(line), end);
    default:
      throw new Error(`no RESP2: ${JSON.stringify(bytes.toString('latin1', at, at + 100))}`);
  }
}

function parseBulk(bytes: Buffer, length: number, at: number): Parsed | undefined {
  if (length < 0) return { value: null, end: at };
  const end = at + length + 2;
  return end <= bytes.length ? { value: bytes.toString('utf8', at, end - 2), end } : undefined;
}

function parseArray(bytes: Buffer, count: number, at: number): Parsed | undefined {
  if (count < 0) return { value: null, end: at };
  const items: Value[] = [];
  let end = at;
  while (items.length < count) {
    const item = parse(bytes, end);
    if (item === undefined) return undefined;
    items.push(item.value);
    end = item.end;
  }
  return { value: items, end };
}
