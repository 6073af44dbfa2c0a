import { batches } from '@malabar/contracts';
import type { Metrics } from '@malabar/telemetry';
import type { StagedAppend } from './core/shard.js';
import type { Store } from './store.js';

/** What the store counts while it works. */
export interface StoreMetrics {
  /** A commit is durable; `staged` are its appends, one a shard. */
  committed(staged: readonly StagedAppend[], durationMs: number): void;
  commitRefused(code: string): void;
  settled(outcome: string, count: number): void;
  staleLeases(count: number): void;
  leasesExpired(count: number): void;
  trimmed(records: number): void;
  /** A batch has come to its end, of whatever kind. */
  batchEnded(state: batches.BatchState): void;
}

const BATCH_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16384];

/** The figures that grow with the work, in Prometheus form. */
export function createStoreMetrics(metrics: Metrics): StoreMetrics {
  const commit = metrics.histogram(
    'malabar_storage_commit_duration_seconds',
    'From the start of a commit to its durability',
  );
  const batch = metrics.histogram('malabar_storage_commit_size_jobs', 'Jobs in one commit', {
    buckets: BATCH_BUCKETS,
  });
  const refused = metrics.counter(
    'malabar_storage_commits_refused_total',
    'Commits that the engine refused, by error code',
    ['code'],
  );
  const outcomes = metrics.counter(
    'malabar_storage_outcomes_total',
    'Outcomes that ended or extended a lease',
    ['outcome'],
  );
  const stale = metrics.counter(
    'malabar_storage_stale_outcomes_total',
    'Outcomes of leases that were not current any more; they changed nothing',
  );
  const expired = metrics.counter(
    'malabar_storage_leases_expired_total',
    'Leases that ended because their holder was silent',
  );
  const trimmed = metrics.counter(
    'malabar_storage_log_records_trimmed_total',
    'Log records dropped by retention',
  );
  const ended = metrics.counter(
    'malabar_storage_batches_ended_total',
    'Batches that have ended, have expired because nobody closed them, or were abandoned',
    ['state'],
  );
  return {
    committed(staged, durationMs) {
      let jobs = 0;
      for (const { shard, tail } of staged) jobs += tail - shard.tail;
      commit.observe(durationMs / 1000);
      if (jobs > 0) batch.observe(jobs);
    },
    commitRefused: (code) => refused.inc({ code }),
    settled: (outcome, count) => outcomes.inc({ outcome }, count),
    staleLeases: (count) => stale.inc(count),
    leasesExpired: (count) => expired.inc(count),
    trimmed: (records) => trimmed.inc(records),
    batchEnded: (state) => ended.inc({ state: batches.BatchState[state]?.toLowerCase() ?? '' }),
  };
}

/** Gauges that are read from the store's counters when somebody asks. */
export function exportCounters(metrics: Metrics, store: Store): void {
  metrics.gauge('malabar_storage_deliveries_count', 'Deliveries by state, kept or ever ended', {
    labels: ['queue', 'topic', 'state'],
    collect(gauge) {
      gauge.reset();
      for (const shard of store.shards.values())
        for (const topic of shard.topics.values())
          for (const [state, count] of Object.entries(topic.counts()))
            gauge.set({ queue: shard.queue, topic: topic.name, state }, count);
    },
  });
  metrics.gauge(
    'malabar_storage_entries_in_memory_count',
    'Delayed, retried and urgent deliveries that memory holds: a window of those on the disk',
    {
      labels: ['queue', 'topic'],
      collect(gauge) {
        gauge.reset();
        for (const shard of store.shards.values())
          for (const topic of shard.topics.values())
            gauge.set({ queue: shard.queue, topic: topic.name }, topic.entriesInMemory);
      },
    },
  );
  metrics.gauge('malabar_storage_batches_open_count', 'Batches that have not ended', {
    collect: (gauge) => gauge.set(store.batches.size),
  });
  metrics.gauge('malabar_storage_jobs_accepted_count', 'Jobs ever accepted', {
    labels: ['queue'],
    collect(gauge) {
      gauge.reset();
      for (const shard of store.shards.values()) gauge.set({ queue: shard.queue }, shard.tail);
    },
  });
}
