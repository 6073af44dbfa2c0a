import { connect, type Socket } from 'node:net';

/** A producer on one connection that keeps a number of requests in flight. */
export class LineLoad {
  #socket: Socket | undefined;
  #replies = 0;
  #line = 0;
  #atLineStart = true;
  #onReply: (() => void) | undefined;

  constructor(
    private readonly port: number,
    /** How a good reply begins, and of how many lines it consists. */
    private readonly reply: { begins: string; lines: number },
  ) {}

  async open(): Promise<void> {
    const socket = connect(this.port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('data', (chunk) => this.#read(chunk));
    this.#socket = socket;
  }

  /** Sends `count` requests with at most `inFlight` unanswered; `request` makes each one (latin1). */
  async send(count: number, inFlight: number, request: (i: number) => string): Promise<void> {
    const first = this.#replies;
    let sent = 0;
    const send = (): void => {
      let text = '';
      while (sent < count && sent - (this.#replies - first) < inFlight) text += request(sent++);
      if (text !== '') this.#socket?.write(text, 'latin1');
    };
    await new Promise<void>((resolve) => {
      this.#onReply = () => {
        if (this.#replies - first >= count) resolve();
        else send();
      };
      send();
    });
    this.#onReply = undefined;
  }

  close(): void {
    this.#socket?.destroy();
  }

  #read(chunk: Buffer): void {
    const good = this.reply.begins.charCodeAt(0);
    for (const [at, byte] of chunk.entries()) {
      // An error would make the figure worthless.
      if (this.#atLineStart && this.#line === 0 && byte !== good)
        throw new Error(`refused: ${chunk.toString('latin1', at, at + 200)}`);
      this.#atLineStart = byte === 0x0a;
      if (!this.#atLineStart || ++this.#line < this.reply.lines) continue;
      this.#line = 0;
      this.#replies++;
    }
    this.#onReply?.();
  }
}

/** A command of the Redis protocol. */
export function redisCommand(...words: readonly string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${word.length}\r\n${word}\r\n`;
  return text;
}

/** A producer that pushes to a queue with the Redis protocol. */
export class RedisLoad extends LineLoad {
  constructor(
    port: number,
    private readonly queue: string,
  ) {
    super(port, { begins: ':', lines: 1 });
  }

  /** Pushes `count` jobs with at most `inFlight` unanswered; `body` makes each one. */
  push(count: number, inFlight: number, body: (i: number) => string): Promise<void> {
    return this.send(count, inFlight, (i) => redisCommand('LPUSH', this.queue, body(i)));
  }
}

/** A body of 200 bytes that begins with the time at which it was made, in microseconds. */
export function stampedBody(): string {
  return bodyStamped(performance.timeOrigin + performance.now());
}

/** A body of 200 bytes that begins with a time, in microseconds. */
export function bodyStamped(atMs: number): string {
  return String(Math.round(atMs * 1000)).padEnd(200, 'x');
}

/** Milliseconds since the time of a stamped body. */
export function ageMs(body: Uint8Array): number {
  const stamp = Number.parseInt(Buffer.from(body.subarray(0, 16)).toString('latin1'), 10);
  return performance.timeOrigin + performance.now() - stamp / 1000;
}
