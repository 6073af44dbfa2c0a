import { createHash } from 'node:crypto';
import { Secret } from './secret.js';

/** A secret of a queue's document and where in the document it stands. */
export interface PlacedSecret {
  path: readonly string[];
  secret: Secret;
}

const KEY_LENGTH_MAX = 128;

/** Every secret of a document. */
export function secretsOf(document: unknown, path: readonly string[] = []): PlacedSecret[] {
  if (document instanceof Secret) return [{ path, secret: document }];
  if (typeof document !== 'object' || document === null) return [];
  return Object.entries(document).flatMap(([key, one]) => secretsOf(one, [...path, key]));
}

/** What is called password in these is not ours: people choose the names, or it is that of others. */
const NOT_OURS = ['headers', 'env', 'rabbitmq'];

/** Whether a secret is kept as its hash: it is shown to us. Others, such as headers, we show. */
export function isPassword(path: readonly string[]): boolean {
  if (path.at(-1) !== 'password') return false;
  // A topic may have any name.
  return path.at(-3) === 'topics' || !NOT_OURS.includes(path.at(-2) ?? '');
}

/**
 * The key beside the document that holds a secret: `password`, `ship:password`,
 * `ship:headers:authorization`, `ship:env:TOKEN`, `rabbitmq:password` of a source. Names have no colon, so no two places share a key.
 */
export function secretKey(path: readonly string[]): string {
  // Of a schedule's command, which has no topic: `run:env:TOKEN`.
  const [last = '', topic = ''] = [path.at(-1), path[0] === 'run' ? 'run' : path[1]];
  if (path.length === 1) return last;
  if (path[0] === 'rabbitmq') return path.join(':');
  const key = isPassword(path) ? `${topic}:${last}` : `${topic}:${path.at(-2)}:${last}`;
  return key.length <= KEY_LENGTH_MAX ? key : createHash('sha256').update(key).digest('hex');
}

/** A document with other values in some places; the document itself stays as it is. */
export function withValues(
  document: unknown,
  values: ReadonlyArray<{ path: readonly string[]; value: unknown }>,
): Record<string, unknown> {
  const copy = structuredClone(document) as Record<string, unknown>;
  for (const { path, value } of values) {
    const parent = path.slice(0, -1).reduce((at, key) => at[key] as Record<string, unknown>, copy);
    parent[path.at(-1) as string] = value;
  }
  return copy;
}
