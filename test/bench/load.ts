import { connect, type Socket } from 'node:net';

/** A producer that speaks the Redis protocol over one connection and keeps a number of jobs in flight. */
export class RedisLoad {
  #socket: Socket | undefined;
  #replies = 0;
  #onReply: (() => void) | undefined;

  constructor(
    private readonly port: number,
    private readonly queue: string,
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

  /** Pushes `count` jobs with at most `inFlight` unanswered; `body` makes each one. */
  async push(count: number, inFlight: number, body: (i: number) => string): Promise<void> {
    const first = this.#replies;
    let sent = 0;
    const send = (): void => {
      let text = '';
      while (sent < count && sent - (this.#replies - first) < inFlight) {
        const job = body(sent++);
        text += `*3\r\n$5\r\nLPUSH\r\n$${this.queue.length}\r\n${this.queue}\r\n$${job.length}\r\n${job}\r\n`;
      }
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
    // Every reply is one line; an error would make the figure worthless.
    if (chunk.includes(0x2d) && /(^|\n)-/.test(chunk.toString('latin1')))
      throw new Error(`refused: ${chunk.toString('latin1', 0, 200)}`);
    for (const byte of chunk) if (byte === 0x0a) this.#replies++;
    this.#onReply?.();
  }
}

/** A body of 200 bytes that begins with the time at which it was made, in microseconds. */
export function stampedBody(): string {
  const stamp = String(Math.round((performance.timeOrigin + performance.now()) * 1000));
  return stamp.padEnd(200, 'x');
}

/** Milliseconds since a stamped body was made. */
export function ageMs(body: Uint8Array): number {
  const stamp = Number.parseInt(Buffer.from(body.subarray(0, 16)).toString('latin1'), 10);
  return performance.timeOrigin + performance.now() - stamp / 1000;
}
