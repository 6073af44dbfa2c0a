import { createHmac, randomBytes } from 'node:crypto';
import { hashPassword, isPasswordHash, verifyPassword } from '@malabar/core';

/** Hashes of passwords that stay the same as long as the password does. */
export interface PasswordHashes {
  /** The hash of a password. `key` says whose: it finds the hash of an earlier process again. */
  hash(key: string, password: string): Promise<string>;
  /** By key, what the last round used; forgets the rest. For the next process. */
  endRound(): Record<string, string>;
}

interface Known {
  /** Of the password, under a key that this process made up: equal texts, nothing more. */
  mark: string;
  hash: string;
}

/** `earlier` are hashes that `endRound` of an earlier process returned. */
export function createPasswordHashes(earlier: Record<string, string> = {}): PasswordHashes {
  const secret = randomBytes(32);
  let known = new Map<string, Known>();
  let round = new Map<string, Known>();

  async function find(key: string, password: string): Promise<string> {
    const before = Object.hasOwn(earlier, key) ? earlier[key] : undefined;
    const same = before !== undefined && (await verifyPassword(password, before));
    return same ? before : hashPassword(password);
  }

  return {
    async hash(key, password) {
      if (isPasswordHash(password)) return password;
      const mark = createHmac('sha256', secret).update(password).digest('base64');
      const last = known.get(key);
      const hash = last?.mark === mark ? last.hash : await find(key, password);
      round.set(key, { mark, hash });
      return hash;
    },
    endRound() {
      known = round;
      round = new Map();
      return Object.fromEntries([...known].map(([key, { hash }]) => [key, hash]));
    },
  };
}
