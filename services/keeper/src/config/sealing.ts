import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { BusError } from '@malabar/core';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/** AES-256-GCM: nonce, ciphertext and tag. `about` is not kept, but without it nothing opens. */
export function encrypt(key: Uint8Array, plain: Uint8Array, about: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** What `encrypt` was given. Throws CORRUPT if anything is not as it was. */
export function decrypt(key: Uint8Array, sealed: Uint8Array, about: string): Buffer {
  try {
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(Buffer.from(about)).setAuthTag(sealed.subarray(end));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
  } catch {
    throw new BusError('CORRUPT', `what is sealed of ${about} does not open`);
  }
}

export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** A key of the configuration: it wraps the keys that seal, and has a name that may be shown. */
export interface SecretKey {
  /** First 8 hex digits of the SHA-256 of its text. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

export function secretKey(text: string): SecretKey {
  const id = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return { id, bytes: new Uint8Array(hkdfSync('sha256', text, '', 'malabar keyring', KEY_BYTES)) };
}
