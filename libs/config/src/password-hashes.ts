import { createHmac, randomBytes } from 'node:crypto';
import { hashPassword, isPasswordHash, verifyPassword } from '@malabar/core';

/** Hashes of passwords that stay the same as long as the password does. */
export interface PasswordHashes {
  /** The hash of a password, which is kept in `section` under `key`. */
  hash(section: string, key: string, password: string): Promise<string>;
}

interface Known {
  /** Of the password, under a key that this process made up: equal texts, nothing more. */
  mark: string;
  hash: string;
}

/**
 * `earlier` finds the hash that is in force, if there is one: as long as it is that of the password,
 * it stays.
 */
export function createPasswordHashes(
  earlier: (section: string, key: string) => string | undefined = () => undefined,
): PasswordHashes {
  const secret = randomBytes(32);
  // Hashing and verifying cost 40 ms each; a password that did not change costs nothing again.
  const made = new Map<string, Known>();
  const verified = new Map<string, Known & { same: boolean }>();

  async function isStill(place: string, hash: string, mark: string, password: string) {
    const last = verified.get(place);
    if (last?.hash === hash && last.mark === mark) return last.same;
    const same = await verifyPassword(password, hash);
    verified.set(place, { hash, mark, same });
    return same;
  }

  async function make(place: string, mark: string, password: string): Promise<string> {
    const last = made.get(place);
    if (last?.mark === mark) return last.hash;
    const hash = await hashPassword(password);
    made.set(place, { mark, hash });
    return hash;
  }

  return {
    async hash(section, key, password) {
      if (isPasswordHash(password)) return password;
      const mark = createHmac('sha256', secret).update(password).digest('base64');
      const place = `${section}/${key}`;
      const before = earlier(section, key);
      if (before !== undefined && (await isStill(place, before, mark, password))) return before;
      return make(place, mark, password);
    },
  };
}
