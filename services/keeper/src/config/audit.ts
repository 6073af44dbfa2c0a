import type { Author } from '@malabar/access';
import { config } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Backend, Put } from '../backend.js';
import { keys, lastPart } from '../keys.js';

const CHANGES_MAX = 200;
const TEXT_CHARS_MAX = 200;
const PAGE = 1_000;
/** Deletes in one transaction: each entry has two keys. */
const DELETES_AT_ONCE = 50;

/** A write, as its doer describes it. */
export interface Deed {
  domain: string;
  action: string;
  release?: number;
  note?: string;
  /** Secrets masked. */
  changes?: readonly config.Change[];
}

/** The puts that record a write, in the same transaction as the write itself. */
export interface AuditRecord {
  puts: Put[];
  /** The key that no other write has. */
  proof: string;
}

/** Who wrote what, newest last, in the order of the keepers' clocks. */
export class AuditLog {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #random: () => number;
  #count = 0;

  constructor(options: { backend: Backend; clock: Clock; random: () => number }) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** A name that sorts by time and that no other one has. */
  stamp(): string {
    this.#count = (this.#count + 1) % 0x1000000;
    const time = String(this.#clock.now()).padStart(14, '0');
    const noise = Math.floor(this.#random() * 0x100000000);
    return `${time}-${hex(this.#count, 6)}-${hex(noise, 8)}`;
  }

  record(by: Author, deed: Deed): AuditRecord {
    const stamp = this.stamp();
    const { domain, action, release = 0, note = '', changes = [] } = deed;
    const entry: config.AuditEntry = {
      atMs: this.#clock.now(),
      author: by.name,
      from: by.from,
      domain,
      action,
      release,
      note,
      changes: changes.slice(0, CHANGES_MAX).map(short),
      changesTotal: changes.length,
    };
    const proof = keys.audit(stamp);
    const puts = [
      { key: proof, value: config.AuditEntry.encode(entry).finish() },
      { key: keys.auditOf(domain, stamp), value: new Uint8Array() },
    ];
    return { puts, proof };
  }

  /** Newest first, from below `cursor` on; of one domain or, with '', of all. */
  async list(domain: string, limit: number, cursor = ''): Promise<config.ListAuditResponse> {
    const found = domain === '' ? this.#all(limit, cursor) : this.#of(domain, limit, cursor);
    const entries = await found;
    const next = entries.length < limit ? '' : lastPart(entries.at(-1)?.key ?? '');
    return { entries: entries.map(({ value }) => config.AuditEntry.decode(value)), cursor: next };
  }

  /** Deletes the oldest entries beyond `entriesMax`. */
  async trim(entriesMax: number): Promise<number> {
    const excess = (await this.#countAll()) - entriesMax;
    for (let deleted = 0; deleted < excess; deleted += DELETES_AT_ONCE) {
      const limit = Math.min(DELETES_AT_ONCE, excess - deleted);
      const { entries } = await this.#backend.list(keys.allAudit, { limit });
      await this.#backend.commit({
        deletes: entries.flatMap(({ key, value }) => {
          const { domain } = config.AuditEntry.decode(value);
          return [key, keys.auditOf(domain, lastPart(key))];
        }),
      });
    }
    return Math.max(0, excess);
  }

  async #all(limit: number, cursor: string) {
    const after = cursor === '' ? undefined : keys.audit(cursor);
    return (await this.#backend.list(keys.allAudit, { limit, after, reverse: true })).entries;
  }

  async #of(domain: string, limit: number, cursor: string) {
    const after = cursor === '' ? undefined : keys.auditOf(domain, cursor);
    const prefix = keys.auditOf(domain);
    const { entries } = await this.#backend.list(prefix, { limit, after, reverse: true });
    const found = entries.map(({ key }) => this.#backend.get(keys.audit(lastPart(key))));
    return (await Promise.all(found)).filter((entry) => entry !== undefined);
  }

  /** How many there are, by their empty second keys. */
  async #countAll(): Promise<number> {
    let after: string | undefined;
    for (let count = 0; ; ) {
      const { entries } = await this.#backend.list(keys.allAuditOf, { limit: PAGE, after });
      count += entries.length;
      if (entries.length < PAGE) return count;
      after = entries.at(-1)?.key;
    }
  }
}

/** What people need to see of a change; a value of a megabyte stays in its release. */
function short(change: config.Change): config.Change {
  return { ...change, before: shortEntry(change.before), after: shortEntry(change.after) };
}

function shortEntry(entry: config.ConfigEntry | undefined): config.ConfigEntry | undefined {
  if (entry === undefined || entry.raw.length <= TEXT_CHARS_MAX) return entry;
  return {
    ...entry,
    raw: `${entry.raw.slice(0, TEXT_CHARS_MAX)}… (${entry.raw.length} characters)`,
  };
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, '0');
}
