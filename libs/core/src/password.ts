import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

// OWASP's smallest scrypt for servers is dearer; this one costs about 40 ms and 16 MiB, paid once a
// connection, and the parameters stand in the hash, so they can grow without a migration.
const COST = { N: 16_384, r: 8, p: 1 };
const SALT_BYTES = 16;
const KEY_BYTES = 32;
// A hash from a config file must not make us allocate without bound: 128 * N * r bytes.
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;

const HASH =
  /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/=]{8,128})\$([A-Za-z0-9+/=]{16,172})$/;

/** Stands for a password that nobody can have, as no text hashes to it: only the bus itself gets in. */
export const CLOSED_HASH = 'none';

interface ParsedHash {
  cost: { N: number; r: number; p: number };
  salt: Buffer;
  key: Buffer;
}

function parse(hash: string): ParsedHash | undefined {
  const parts = HASH.exec(hash);
  if (parts === null) return undefined;
  const cost = { N: Number(parts[1]), r: Number(parts[2]), p: Number(parts[3]) };
  const isPowerOfTwo = cost.N > 1 && (cost.N & (cost.N - 1)) === 0;
  if (!isPowerOfTwo || cost.r < 1 || cost.p < 1 || cost.p > 16) return undefined;
  if (128 * cost.N * cost.r > MEMORY_BYTES_MAX) return undefined;
  const salt = Buffer.from(parts[4] as string, 'base64');
  return { cost, salt, key: Buffer.from(parts[5] as string, 'base64') };
}

function derive(
  password: string,
  salt: Buffer,
  bytes: number,
  cost: ParsedHash['cost'],
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, { ...cost, maxmem: 2 * MEMORY_BYTES_MAX }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

/** Whether the text is a hash that `verifyPassword` understands: `scrypt$N$r$p$salt$hash`, base64. */
export function isPasswordHash(text: string): boolean {
  return parse(text) !== undefined;
}

/** `scrypt$N$r$p$salt$hash` with a salt of its own; two hashes of one password differ. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, KEY_BYTES, COST);
  const { N, r, p } = COST;
  return `scrypt$${N}$${r}$${p}$${salt.toString('base64')}$${key.toString('base64')}`;
}

/** Compares in constant time, off the event loop. A text that is no hash matches no password. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const parsed = parse(hash);
  if (parsed === undefined) return false;
  const key = await derive(password, parsed.salt, parsed.key.length, parsed.cost);
  return timingSafeEqual(key, parsed.key);
}
