/** Everything below. */
export const ELECTIONS = 'election/';

/** HoldingRecord, as long as its lease stands. */
export const heldKey = (name: string): string => `${ELECTIONS}held/${name}`;

/** The last token that was given under a name, in decimal; never deleted. */
export const tokenKey = (name: string): string => `${ELECTIONS}token/${name}`;

const HELD = heldKey('');
const TOKEN = tokenKey('');

/** What a key is of which election; undefined for one that is none of these. */
export function readKey(key: string): { kind: 'held' | 'token'; name: string } | undefined {
  if (key.startsWith(HELD)) return { kind: 'held', name: key.slice(HELD.length) };
  if (key.startsWith(TOKEN)) return { kind: 'token', name: key.slice(TOKEN.length) };
  return undefined;
}
