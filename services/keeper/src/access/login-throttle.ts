import { BusError, type Clock } from '@malabar/core';

/** How failed logins of one kind of key are slowed down. */
interface Limit {
  /** So many failures cost nothing. */
  free: number;
  /** Each further one doubles the wait, up to this. */
  waitMsMax: number;
}

// A user's own limit waits briefly only: else anybody could lock him out from anywhere.
const LIMITS = {
  pair: { free: 4, waitMsMax: 60_000 },
  peer: { free: 20, waitMsMax: 60_000 },
  user: { free: 10, waitMsMax: 5_000 },
} as const satisfies Record<string, Limit>;

type Kind = keyof typeof LIMITS;
type Keys = Record<Kind, string>;

const KINDS = Object.keys(LIMITS) as Kind[];
const FIRST_WAIT_MS = 1_000;
const FORGET_MS = 15 * 60_000;
const NAME_CHARS_MAX = 128;
const ENTRIES_MAX = 10_000;

interface Failures {
  count: number;
  lastAtMs: number;
}

/** A login that has begun. */
export interface Attempt {
  /** It was right: what it counted is taken back. */
  succeeded(): void;
}

/**
 * Slows failed logins down by user, by address and by both together. Keeps at most `entriesMax` of
 * each kind and forgets the oldest first, each kind apart, so that inventing users does not make it
 * forget an address.
 */
export class LoginThrottle {
  readonly #failures: Record<Kind, Map<string, Failures>> = {
    pair: new Map(),
    peer: new Map(),
    user: new Map(),
  };

  constructor(
    private readonly clock: Clock,
    private readonly entriesMax = ENTRIES_MAX,
  ) {}

  /**
   * Begins an attempt, which counts as failed until it has succeeded: many at once cannot hide from
   * each other. Throws BUSY, without counting, while one has to wait.
   */
  begin(user: string, peer: string): Attempt {
    const keys = keysOf(user, peer);
    const waitMs = Math.max(...KINDS.map((kind) => this.#waitMs(kind, keys[kind])));
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1_000);
      throw new BusError('BUSY', `too many failed logins: try again in ${seconds} s`);
    }
    for (const kind of KINDS) this.#count(kind, keys[kind], 1);
    return {
      succeeded: () => {
        this.#failures.pair.delete(keys.pair);
        this.#failures.user.delete(keys.user);
        // Not all: an account of one's own is no way to go on guessing those of others.
        this.#count('peer', keys.peer, -1);
      },
    };
  }

  /** Entries that are kept now. */
  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.#failures[kind].size, 0);
  }

  #waitMs(kind: Kind, key: string): number {
    const failures = this.#failures[kind].get(key);
    const { free, waitMsMax } = LIMITS[kind];
    if (failures === undefined || failures.count < free) return 0;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (failures.count - free), waitMsMax);
    return failures.lastAtMs + waitMs - this.clock.now();
  }

  #count(kind: Kind, key: string, change: number): void {
    const known = this.#failures[kind];
    const before = known.get(key);
    const nowMs = this.clock.now();
    const lasts = before !== undefined && before.lastAtMs + FORGET_MS > nowMs;
    const count = (lasts ? before.count : 0) + change;
    // Behind all others: the first one is the one that was quiet for longest.
    known.delete(key);
    if (count > 0) known.set(key, { count, lastAtMs: nowMs });
    const [oldest] = known.keys();
    if (known.size > this.entriesMax && oldest !== undefined) known.delete(oldest);
  }
}

function keysOf(user: string, peer: string): Keys {
  const name = user.slice(0, NAME_CHARS_MAX);
  // Every connection has another port.
  const host = peer.replace(/:\d+$/, '');
  return { pair: `${name}\n${host}`, peer: host, user: name };
}
