import type { StagedAppend } from './core/shard.js';

/** What the store counts; the module gives it a Prometheus form. */
export interface StoreMetrics {
  /** A commit is durable; `staged` are its appends, one a shard. */
  committed(staged: readonly StagedAppend[], durationMs: number): void;
  commitRefused(code: string): void;
  settled(outcome: string, count: number): void;
  staleLeases(count: number): void;
  leasesExpired(count: number): void;
  trimmed(records: number): void;
}
