import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * What callers show. `mlb_<id>_<secret>` is a program's: of the secret only the SHA-256 is kept,
 * which is safe for 32 random bytes. `mls_<payload>.<hmac>` is a session of a person: nothing of it is
 * kept, so every process can check it.
 */

const PROGRAM = /^mlb_([0-9a-f]{20})_([A-Za-z0-9_-]{43})$/;
const SESSION = /^mls_([A-Za-z0-9_-]{1,1000})\.([A-Za-z0-9_-]{43})$/;
const MARK_CHARS = 8;

/** The parts of a program's token. */
export interface ProgramTokenText {
  id: string;
  secret: string;
}

/** What a session says of itself. */
export interface SessionClaims {
  /** The bus that made it. */
  bus: string;
  user: string;
  /** Of the user's password when the session began. */
  stamp: string;
  expiresAtMs: number;
}

/** A session token that was read but not yet believed. */
export interface SessionTokenText {
  claims: SessionClaims;
  /** Whether this key signed it. */
  signedBy(key: string): boolean;
}

/** Whether a text claims to be a token of a person or a program. */
export function isUserToken(text: string): boolean {
  return text.startsWith('mlb_') || text.startsWith('mls_');
}

/** A new program token of a bus: its text and what to keep of it. */
export function makeProgramToken(bus: string): ProgramTokenText & { text: string; hash: string } {
  const id = bus + randomBytes(6).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { id, secret, text: `mlb_${id}_${secret}`, hash: hashSecret(secret) };
}

export function parseProgramToken(text: string): ProgramTokenText | undefined {
  const parts = PROGRAM.exec(text);
  return parts ? { id: parts[1] as string, secret: parts[2] as string } : undefined;
}

/** The bus that made a program token, by its id. */
export function busOfToken(id: string): string {
  return id.slice(0, MARK_CHARS);
}

/** What is kept of a token's secret. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares in constant time. */
export function secretMatches(secret: string, hash: string): boolean {
  const given = Buffer.from(hashSecret(secret));
  const kept = Buffer.from(hash);
  return given.length === kept.length && timingSafeEqual(given, kept);
}

/** A new bus has a name, by which it knows its tokens from those of others, and a key. */
export function makeSessionKey(): { bus: string; key: string } {
  const bus = randomBytes(MARK_CHARS / 2).toString('hex');
  return { bus, key: randomBytes(32).toString('base64url') };
}

export function makeSessionToken(claims: SessionClaims, key: string): string {
  const { bus, user, stamp, expiresAtMs } = claims;
  const payload = Buffer.from(JSON.stringify([bus, user, stamp, expiresAtMs])).toString(
    'base64url',
  );
  return `mls_${payload}.${sign(payload, key).toString('base64url')}`;
}

export function parseSessionToken(text: string): SessionTokenText | undefined {
  const parts = SESSION.exec(text);
  if (parts === null) return undefined;
  const payload = parts[1] as string;
  const signature = Buffer.from(parts[2] as string, 'base64url');
  const claims = parseClaims(payload);
  return claims && { claims, signedBy: (key) => timingSafeEqual(signature, sign(payload, key)) };
}

function parseClaims(payload: string): SessionClaims | undefined {
  try {
    const [bus, user, stamp, expiresAtMs] = JSON.parse(String(Buffer.from(payload, 'base64url')));
    const texts = [bus, user, stamp].every((part) => typeof part === 'string');
    return texts && Number.isSafeInteger(expiresAtMs)
      ? { bus, user, stamp, expiresAtMs }
      : undefined;
  } catch {
    return undefined;
  }
}

function sign(payload: string, key: string): Buffer {
  return createHmac('sha256', key).update(payload).digest();
}
