import type { Author } from '@malabar/access';
import { config } from '@malabar/contracts';
import { type BusError, type Clock, systemClock } from '@malabar/core';
import { createMetrics, type Logger, type Metrics } from '@malabar/telemetry';
import { logToMemory, type MemoryEntry } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Backend } from '../backend.js';
import { createConfigMetrics } from '../metrics.js';
import { secretKey } from './sealing.js';
import type { SecretKeys } from './secret-keys.js';
import { NO_SETTINGS } from './settings.js';
import { ConfigStore, type ConfigStoreOptions } from './store.js';

export const ANN: Author = { name: 'ann', from: '10.0.0.1:4000' };
export const BOB: Author = { name: 'bob', from: '10.0.0.2:4000' };
export const CAT: Author = { name: 'cat', from: '10.0.0.3:4000' };

export const KEY_A = secretKey('a'.repeat(40));
export const KEY_B = secretKey('b'.repeat(40));

/** A store that runs, and a shorter way to call it. */
export interface Stage {
  store: ConfigStore;
  metrics: Metrics;
  entries: MemoryEntry[];
  /** Publishes operations on the release in force. */
  publish(operations: config.Operation[], more?: Partial<config.PublishRequest>): Promise<number>;
  /** Edits the draft as it is now. */
  edit(operations: config.Operation[], by?: Author): Promise<config.DraftSummary>;
  /** Publishes the draft as it is now. */
  publishDraft(by: Author, more?: Partial<config.PublishRequest>): Promise<number>;
  rollback(toRelease: number, path?: string): Promise<number>;
  /** `key=value` of one section of a file. */
  values(state?: config.StateRef['state'], path?: string): Promise<string[]>;
}

export interface StageOptions extends Partial<ConfigStoreOptions> {
  settings?: Partial<config.DomainSettings>;
  keys?: SecretKeys;
  clock?: Clock;
}

/** A store on a backend with the domain `shop`. */
export async function stage(backend: Backend, options: StageOptions = {}): Promise<Stage> {
  const { settings, ...rest } = options;
  const metrics = createMetrics();
  const { log, entries } = logToMemory<Logger>();
  const store = new ConfigStore({
    backend,
    secretKeys: { current: KEY_A, previous: [] },
    limits: { keys: 10_000, files: 1_000, value: 1024 * 1024 },
    history: 1_000,
    clock: systemClock,
    random: Math.random,
    log,
    metrics: createConfigMetrics(metrics),
    ...rest,
  });
  await store.start();
  onTestFinished(() => store.stop());
  await store.ensureDomain('shop', { ...NO_SETTINGS, ...settings }, ANN);
  return { store, metrics, entries, ...shortcuts(store) };
}

function shortcuts(
  store: ConfigStore,
): Pick<Stage, 'publish' | 'edit' | 'publishDraft' | 'rollback' | 'values'> {
  const now = () => store.getDomain('shop');
  return {
    async publish(operations, more = {}) {
      const expectedRelease = now().release;
      const { release } = await store.publish(
        publishing({ expectedRelease, operations, ...more }),
        ANN,
      );
      return release?.number ?? 0;
    },
    async edit(operations, by = ANN) {
      const { draft, release } = now();
      const draftRevision = draft?.revision ?? 0;
      const request = { domain: 'shop', operations, draftRevision, baseRelease: release };
      return (await store.editDraft(request, by)).draft as config.DraftSummary;
    },
    async publishDraft(by, more = {}) {
      const { draft, release: expectedRelease } = now();
      const draftRevision = draft?.revision ?? 0;
      const { release } = await store.publish(
        publishing({ expectedRelease, draftRevision, ...more }),
        by,
      );
      return release?.number ?? 0;
    },
    async rollback(toRelease, path = '') {
      const expectedRelease = now().release;
      const request = { domain: 'shop', toRelease, path, expectedRelease, note: '' };
      return (await store.rollback(request, ANN)).release?.number ?? 0;
    },
    async values(state, path = '') {
      const { files } = await store.getFiles(
        { domain: 'shop', state: { state }, path, reveal: false },
        ANN,
      );
      return files.flatMap(({ sections }) =>
        sections.flatMap(({ entries }) => entries.map(({ key, raw }) => `${key}=${raw}`)),
      );
    },
  };
}

export function publishing(request: Partial<config.PublishRequest>): config.PublishRequest {
  return config.PublishRequest.fromPartial({ domain: 'shop', ...request } as config.PublishRequest);
}

/** `set('timeout', '3')` in /app.conf, DEFAULT. */
export function set(key: string, raw: string, type = '', file = '/app.conf'): config.Operation {
  return { operation: { $case: 'setKey', value: { file, section: '', key, type, raw } } };
}

export function remove(key: string, file = '/app.conf'): config.Operation {
  return { operation: { $case: 'deleteKey', value: { file, section: '', key } } };
}

export function removeFile(path: string): config.Operation {
  return { operation: { $case: 'deleteFile', value: { path } } };
}

/** The errors of calls that must all be refused. */
export async function refusals(calls: readonly Promise<unknown>[]): Promise<BusError[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') return outcome.reason as BusError;
    throw new Error(`not refused: ${JSON.stringify(outcome.value)}`);
  });
}

export const DRAFT: config.StateRef['state'] = { $case: 'draft', value: true };
export const release = (value: number): config.StateRef['state'] => ({ $case: 'release', value });
