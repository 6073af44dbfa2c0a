import { keeperRecords } from '@malabar/contracts';
import { type Clock, every } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Backend, Entry } from '../backend.js';
import { domainOf, keys, lastPart } from '../keys.js';
import { blobKeys } from './blobs.js';
import { type Loaded, load } from './change.js';
import { hashOf } from './contents.js';
import type { Parts } from './parts.js';
import { isKept } from './settings.js';

const PERIOD_MS = 60_000;
/** A change that staged blobs has long been committed or given up by then. */
const RIPE_MS = 10 * 60_000;
const AUDIT_ENTRIES_MAX = 100_000;
/** The audit is counted every tenth round. */
const AUDIT_ROUNDS = 10;
const PAGE = 100;
/** Blobs come with their content. */
const BLOB_PAGE = 8;
/** The domain's record is a condition and, written again, a put. */
const OPERATIONS_BESIDE = 2;

/**
 * Takes away what is not needed any more: releases beyond the history, blobs that nothing names, what
 * deleted domains have left, old audit entries. Every keeper does it; they may meet.
 *
 * Each delete writes the domain's record again, on condition that it is as the sweeper saw it. So a
 * change that is under way, and may need a blob that is going, finds the record changed, starts again
 * and writes its blobs again.
 */
export class Sweeper {
  readonly #parts: Parts;
  readonly #log: Logger;
  readonly #auditEntriesMax: number;
  /** By domain, the revision at which nothing was left to do. */
  readonly #clean = new Map<string, number>();
  #rounds = 0;
  #stop: (() => void) | undefined;

  constructor(parts: Parts, log: Logger, auditEntriesMax = AUDIT_ENTRIES_MAX) {
    this.#parts = parts;
    this.#log = log;
    this.#auditEntriesMax = auditEntriesMax;
  }

  start(clock: Clock): void {
    this.#stop = every(clock, PERIOD_MS, async () => {
      try {
        await this.sweep();
      } catch (err) {
        this.#log.warn({ err }, 'sweeping has to wait');
      }
    });
  }

  stop(): void {
    this.#stop?.();
  }

  /** One round. */
  async sweep(): Promise<void> {
    const { backend, view, audit } = this.#parts;
    const loose = await this.#ripe();
    for (const { name, revision } of view.domains.values()) {
      const mine = loose.filter(({ key }) => domainOf(key) === name);
      if (mine.length > 0 || this.#clean.get(name) !== revision) await this.#domain(name, mine);
    }
    for (const { key, revision } of (await backend.list(keys.tombstones)).entries) {
      const name = lastPart(key);
      if (!view.domains.has(name) && this.#clean.get(name) !== revision) {
        if (await this.#deleted(name)) this.#clean.set(name, revision);
      }
    }
    if (this.#rounds++ % AUDIT_ROUNDS === 0) await audit.trim(this.#auditEntriesMax);
  }

  /** Notes of loose blobs that no change can have under way any more. */
  async #ripe(): Promise<Entry[]> {
    const { backend, clock } = this.#parts;
    const { entries } = await backend.list(keys.allLoose);
    const until = clock.now() - RIPE_MS;
    return entries.filter(({ key }) => Number.parseInt(lastPart(key), 10) <= until);
  }

  async #domain(name: string, loose: readonly Entry[]): Promise<void> {
    const loaded = await load(this.#parts, name);
    if (loaded.record === undefined) return;
    const { old, used } = await this.#releases(loaded.record, name);
    const suspects = [...old.map(manifestOfRelease), ...loose.map(manifestOfLoose)];
    const unused = new Map(
      suspects
        .flatMap(({ files }) => files.map((ref) => [hashOf(ref), ref] as const))
        .filter(([hash]) => !used.has(hash)),
    );
    const blobs = [...unused.values()].flatMap((ref) => blobKeys(name, ref));
    // What names the blobs goes last: a sweep that is cut off must find them again.
    const gone = [...blobs, ...[...old, ...loose].map(({ key }) => key)];
    const revision = await deleteAll(this.#parts.backend, loaded, gone);
    if (revision !== undefined) this.#clean.set(name, revision);
  }

  /** Releases that are not kept any more, and the blobs that the others and the draft name. */
  async #releases(
    record: keeperRecords.DomainRecord,
    name: string,
  ): Promise<{ old: Entry[]; used: Set<string> }> {
    const old: Entry[] = [];
    const used = new Set(record.draft?.content?.files.map(hashOf));
    for await (const entry of pages(this.#parts.backend, keys.releases(name), PAGE)) {
      if (!isKept(record, Number(lastPart(entry.key)))) old.push(entry);
      else for (const ref of manifestOfRelease(entry).files) used.add(hashOf(ref));
    }
    return { old, used };
  }

  /** True once a domain that is not there has left nothing. */
  async #deleted(name: string): Promise<boolean> {
    const { backend } = this.#parts;
    const nowhere = { domain: name, record: undefined, revision: 0 };
    for (const prefix of [keys.releases(name), keys.loose(name, ''), keys.blobs(name)]) {
      for (;;) {
        const { entries } = await backend.list(prefix, { limit: BLOB_PAGE });
        if (entries.length === 0) break;
        const gone = entries.map(({ key }) => key);
        if ((await deleteAll(backend, nowhere, gone)) === undefined) return false;
      }
    }
    return true;
  }
}

/** The revision of the domain afterwards; undefined if somebody else has changed it meanwhile. */
async function deleteAll(
  backend: Backend,
  { domain, record, revision: seen }: Loaded,
  gone: readonly string[],
): Promise<number | undefined> {
  const key = keys.domain(domain);
  const puts = record && [{ key, value: keeperRecords.DomainRecord.encode(record).finish() }];
  const size = backend.operationsMax - OPERATIONS_BESIDE;
  let revision: number | undefined = seen;
  for (let at = 0; at < gone.length && revision !== undefined; at += size) {
    const conditions = [{ key, revision: record === undefined ? 0 : revision }];
    revision = await backend.commit({ conditions, puts, deletes: gone.slice(at, at + size) });
  }
  return revision;
}

async function* pages(backend: Backend, prefix: string, limit: number): AsyncGenerator<Entry> {
  let after: string | undefined;
  for (;;) {
    const { entries } = await backend.list(prefix, { limit, after });
    yield* entries;
    if (entries.length < limit) return;
    after = entries.at(-1)?.key;
  }
}

function manifestOfRelease({ value }: Entry): keeperRecords.Manifest {
  return keeperRecords.ReleaseRecord.decode(value).content ?? { files: [], keys: 0 };
}

function manifestOfLoose({ value }: Entry): keeperRecords.Manifest {
  return keeperRecords.Manifest.decode(value);
}
