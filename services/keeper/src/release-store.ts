import { constants } from 'node:fs';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What the keeper remembers beyond its own life. Passwords are hashes. */
export interface StoredRelease {
  release: number;
  /** Of the release's content; the same content is the same release, also after a restart. */
  checksum: string;
  /** scrypt hashes by key, so that a password that did not change keeps its hash. */
  passwords: Record<string, string>;
}

/** `undefined` if there is none yet, `unreadable` if there is something that we did not write. */
export async function readRelease(path: string): Promise<StoredRelease | undefined | 'unreadable'> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { release, checksum, passwords } = JSON.parse(text) as Partial<StoredRelease>;
    const whole = Number.isSafeInteger(release) && typeof checksum === 'string';
    if (!whole || typeof passwords !== 'object') return 'unreadable';
    return { release, checksum, passwords } as StoredRelease;
  } catch {
    return 'unreadable';
  }
}

/** Replaces the file as a whole: after a crash it is the old one or the new one. */
export async function writeRelease(path: string, stored: StoredRelease): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = `${path}.new`;
  // Hashes are for nobody else's eyes.
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(stored, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const entry = await open(folder, constants.O_RDONLY);
  try {
    await entry.sync();
  } finally {
    await entry.close();
  }
}
