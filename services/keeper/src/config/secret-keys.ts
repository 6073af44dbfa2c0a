import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Secret } from '@malabar/config';
import { BusError } from '@malabar/core';
import { newKey, type SecretKey, secretKey } from './sealing.js';

const CHARACTERS_MIN = 32;
const FILE = 'secret.key';

/** What the keeper was given to keep secrets under. */
export interface SecretKeys {
  /** Wraps what is new; undefined if there is none: then no secret can be kept. */
  current: SecretKey | undefined;
  /** Those that still open what was wrapped earlier. */
  previous: SecretKey[];
}

/**
 * The keys of the configuration. With a `folder` (of the embedded backend) a key lies there, too: it
 * is made at the first start if none is given, and goes on opening what it wrapped once one is.
 */
export async function readSecretKeys(options: {
  secretKey?: Secret;
  previousSecretKey?: Secret;
  folder?: string;
}): Promise<SecretKeys> {
  const given = fromSetting('secretKey', options.secretKey);
  const before = fromSetting('previousSecretKey', options.previousSecretKey);
  const found = options.folder === undefined ? undefined : await fromFile(options.folder, !given);
  const [current, ...rest] = [given, found].filter((key) => key !== undefined);
  return { current, previous: before === undefined ? rest : [before, ...rest] };
}

function fromSetting(name: string, secret: Secret | undefined): SecretKey | undefined {
  if (secret === undefined) return undefined;
  const text = secret.reveal(process.env);
  if (text.length >= CHARACTERS_MIN) return secretKey(text);
  throw new BusError('INVALID', `keeper.${name} needs ${CHARACTERS_MIN} characters or more`);
}

async function fromFile(folder: string, make: boolean): Promise<SecretKey | undefined> {
  const file = join(folder, FILE);
  const text = ((await textOf(file)) ?? (make ? await made(file) : undefined))?.trim();
  if (text === undefined) return undefined;
  if (text.length >= CHARACTERS_MIN) return secretKey(text);
  throw new BusError('INVALID', `${file} has no key of ${CHARACTERS_MIN} characters or more in it`);
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new BusError('INVALID', `${file} cannot be read: ${code}`);
  }
}

async function made(file: string): Promise<string> {
  const text = newKey().toString('base64');
  await writeFile(file, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true });
  return text;
}
