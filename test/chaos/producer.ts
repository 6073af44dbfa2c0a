import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Ledger } from './ledger.js';

const RECONNECT_MS = 20;

/**
 * Pushes numbered jobs one after another over one connection of its own, and writes down those that
 * were acknowledged. A connection that breaks is opened again; the job in doubt is not repeated.
 */
export class Producer {
  #stopped = false;
  #next = 0;
  #running: Promise<void> | undefined;

  constructor(
    private readonly name: string,
    private readonly port: number,
    private readonly queue: string,
    private readonly ledger: Ledger,
  ) {}

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#session().catch(() => undefined);
      if (!this.#stopped) await pause(RECONNECT_MS);
    }
  }

  async #session(): Promise<void> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await event(socket, 'connect');
      while (!this.#stopped) {
        const job = `${this.name}-${this.#next++}`;
        const reply = await push(socket, this.queue, job);
        if (reply.startsWith(':')) this.ledger.accepted.add(job);
        else await pause(RECONNECT_MS);
      }
    } finally {
      socket.destroy();
    }
  }
}

function event(socket: Socket, name: 'connect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(name, resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

function push(socket: Socket, queue: string, job: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const closed = (): void => reject(new Error('closed'));
    socket.once('close', closed);
    socket.once('data', (reply) => {
      socket.off('close', closed);
      resolve(reply.toString());
    });
    const size = Buffer.byteLength(job);
    socket.write(`*3\r\n$5\r\nLPUSH\r\n$${queue.length}\r\n${queue}\r\n$${size}\r\n${job}\r\n`);
  });
}
