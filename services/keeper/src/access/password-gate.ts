import { randomBytes } from 'node:crypto';
import { BusError, hashPassword, verifyPassword } from '@malabar/core';

// Each takes a thread of four for 40 ms and 16 MiB: lookups of names and files need threads too.
const AT_ONCE = 2;
const WAITING_MAX = 100;

/** Longer ones make us hash text that nobody remembers. */
const PASSWORD_BYTES_MAX = 1_024;

/** Hashes and checks passwords, few at once. Throws BUSY when too many wait. */
export class PasswordGate {
  // Whoever is not there is checked against it: it takes the same time as a wrong password.
  readonly #decoy = hashPassword(randomBytes(16).toString('hex'));
  readonly #waiting: Array<() => void> = [];
  #running = 0;

  constructor(private readonly waitingMax = WAITING_MAX) {}

  /** False for an undefined or empty hash, as late as for a wrong password. */
  async verify(password: string, hash: string | undefined): Promise<boolean> {
    assertLength(password);
    const decoy = await this.#decoy;
    return this.#inTurn(async () => (await verifyPassword(password, hash || decoy)) && !!hash);
  }

  async hash(password: string): Promise<string> {
    assertLength(password);
    return this.#inTurn(() => hashPassword(password));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    await this.#turn();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  /** Whoever ends hands its place on, so a newcomer never overtakes. */
  #turn(): Promise<void> {
    if (this.#running < AT_ONCE) {
      this.#running++;
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.waitingMax) {
      throw new BusError('BUSY', 'too many logins at once: try again in a moment');
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function assertLength(password: string): void {
  if (Buffer.byteLength(password) <= PASSWORD_BYTES_MAX) return;
  throw new BusError('INVALID', `a password has at most ${PASSWORD_BYTES_MAX} bytes`);
}
