import { eventually } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import type { Backend, KeyChange, Listing, Watcher } from '../../backend.js';

/** A backend as the suite sees it. */
export interface BackendUnderTest {
  name: string;
  /** A new place without data. The suite closes every backend that it has opened there. */
  place(): Promise<BackendPlace>;
  /** A place of which a test may take the server or the network away. */
  troubledPlace?(): Promise<TroubledPlace>;
  /** Each capability that it lacks, with the reason; the tests that need it are skipped and say so. */
  lacks?: Partial<Record<Capability, string>>;
}

export type Capability =
  /** Several keepers may have it open at once. */
  | 'shared'
  /** It is reached over a network. */
  | 'outages';

/** Where a backend keeps its data; outlives the backends that are opened on it. */
export interface BackendPlace {
  /** A backend on this place, not yet opened. */
  backend(): Backend;
  /** Makes leases older where time does not do that by itself. */
  pass(ms: number): Promise<void>;
}

export interface TroubledPlace extends BackendPlace {
  /** A backend on this place that no trouble reaches. */
  untroubled(): Backend;
  /** Takes the network away and gives it back. */
  cut(): void;
  heal(): void;
  /** kill -9 of the server, without a new start, and with one on what it has kept. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Forgets the history. */
  compact(): Promise<void>;
}

/** A test that runs where the backend has what it needs. */
export function testWith(backend: BackendUnderTest, needed?: Capability): typeof test {
  const reason = needed && backend.lacks?.[needed];
  if (reason !== undefined) console.warn(`${backend.name}: tests skipped: ${reason}`);
  return test.skipIf(reason !== undefined) as typeof test;
}

/** Opens a backend and closes it when the test is over. */
export async function opened(backend: Backend): Promise<Backend> {
  await backend.open();
  onTestFinished(() => backend.close());
  return backend;
}

/** An opened backend on a new place. */
export const fresh = async ({ place }: BackendUnderTest): Promise<Backend> =>
  opened((await place()).backend());

export const put = (key: string, value: string | Uint8Array = '', leaseId?: string) => ({
  key,
  value: Buffer.from(value as string),
  leaseId,
});

/** Puts keys and returns the revision of the commit. */
export async function putAll(backend: Backend, entries: Record<string, string>): Promise<number> {
  const puts = Object.entries(entries).map(([key, value]) => put(key, value));
  return (await backend.commit({ puts })) as number;
}

/** `key=value` of each entry. */
export const shown = ({ entries }: Listing): string[] =>
  entries.map(({ key, value }) => `${key}=${value}`);

export const keys = async (...[backend, ...args]: [Backend, ...Parameters<Backend['list']>]) =>
  (await backend.list(...args)).entries.map(({ key }) => key);

/** A watcher that keeps what it is told, and what must be there if all of it is true. */
export class Watched implements Watcher {
  /** `reset a=1 b=2`, `a=2 -b`, `lost`. */
  readonly heard: string[] = [];
  readonly state = new Map<string, string>();
  readonly revisions: number[] = [];

  static on(backend: Backend, prefix = ''): Watched {
    const watched = new Watched();
    const { stop } = backend.watch(prefix, watched);
    onTestFinished(stop);
    return watched;
  }

  reset(listing: Listing): void {
    this.state.clear();
    for (const { key, value } of listing.entries) this.state.set(key, value.toString());
    this.revisions.push(listing.revision);
    this.heard.push(['reset', ...shown(listing)].join(' '));
  }

  changed(changes: readonly KeyChange[], revision: number): void {
    for (const { key, entry } of changes) {
      if (entry) this.state.set(key, entry.value.toString());
      else this.state.delete(key);
    }
    this.revisions.push(revision);
    const words = changes.map(({ key, entry }) => (entry ? `${key}=${entry.value}` : `-${key}`));
    this.heard.push(words.sort().join(' '));
  }

  lost(): void {
    this.heard.push('lost');
  }

  /** Waits until it has heard all of this and nothing else. */
  async hears(...heard: string[]): Promise<void> {
    await eventually(() => expect(this.heard).toEqual(heard));
  }
}
