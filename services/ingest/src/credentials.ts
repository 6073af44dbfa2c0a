import { createHmac, timingSafeEqual } from 'node:crypto';
import { BusError, type Clock, sleep } from '@malabar/core';

/** scrypt takes 16 MiB and tens of milliseconds of a thread; strangers must not queue up many. */
const CHECKS_AT_ONCE = 2;
const CHECKS_WAITING_MAX = 64;
/** A wrong password is answered this late, so that guessing is slow. */
export const WRONG_PASSWORD_DELAY_MS = 500;

export interface CredentialsOptions {
  clock: Clock;
  /** Random bytes of this process; the key that remembered passwords are hashed with. */
  key: Buffer;
  /** Whether `password` belongs to the stored hash; slow and off the event loop. */
  verify(password: string, hash: string): Promise<boolean>;
}

/**
 * Checks passwords against the hashes of the configuration. The first success of a hash is
 * remembered as a keyed digest, so producers that connect anew for each request pay scrypt once.
 */
export class Credentials {
  readonly #options: CredentialsOptions;
  /** Digest of the right password, by hash. */
  readonly #known = new Map<string, Buffer>();
  readonly #waiting: Array<() => void> = [];
  #checking = 0;

  constructor(options: CredentialsOptions) {
    this.#options = options;
  }

  /** True or false at once if it can be known at once; throws BUSY when too many checks wait. */
  check(password: string, hash: string): boolean | Promise<boolean> {
    const known = this.#known.get(hash);
    if (known === undefined) return this.#checkSlowly(password, hash);
    return timingSafeEqual(known, this.#digest(password)) || this.#wrong();
  }

  /** Forgets passwords whose hash is in no document any more. */
  keep(hashes: ReadonlySet<string>): void {
    for (const hash of this.#known.keys()) if (!hashes.has(hash)) this.#known.delete(hash);
  }

  async #checkSlowly(password: string, hash: string): Promise<boolean> {
    await this.#turn();
    try {
      // Others with the same password may have been checked while this one waited.
      const known = this.#known.get(hash);
      const digest = this.#digest(password);
      if (known !== undefined) return timingSafeEqual(known, digest) || (await this.#wrong());
      const right = await this.#options.verify(password, hash);
      if (right) this.#known.set(hash, digest);
      return right || (await this.#wrong());
    } finally {
      this.#checking--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    if (this.#checking >= CHECKS_AT_ONCE) {
      if (this.#waiting.length >= CHECKS_WAITING_MAX) {
        throw new BusError('BUSY', 'too many passwords are being checked, try again');
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#checking++;
  }

  async #wrong(): Promise<false> {
    await sleep(this.#options.clock, WRONG_PASSWORD_DELAY_MS);
    return false;
  }

  #digest(password: string): Buffer {
    return createHmac('sha256', this.#options.key).update(password, 'utf8').digest();
  }
}
