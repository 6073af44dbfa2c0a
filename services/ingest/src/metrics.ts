import type { Counter, Metrics } from '@malabar/telemetry';

/** How a producer talks to us; a label of the metrics. */
export type Protocol = 'redis' | 'pepperbus' | 'http' | 'grpc' | 'rabbitmq';

/** What ingest counts. */
export interface IngestMetrics {
  accepted(queue: string, protocol: Protocol, jobs: number): void;
  /** Accepted while their queue has no topic. */
  unheard(queue: string, jobs: number): void;
  refused(queue: string, code: string, jobs: number): void;
  /** A batch was answered. */
  batch(jobs: number, bytes: number, latencyMs: number): void;
  connections(protocol: Protocol, change: 1 | -1): void;
  connectionRefused(protocol: Protocol): void;
  slowReaderClosed(protocol: Protocol): void;
  /** Sums for INFO. */
  readonly totals: Readonly<{ accepted: number; refused: number; connections: number }>;
}

const BATCH_JOBS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const BATCH_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** Every metric of ingest. `queue` is a configured queue, or empty for requests that name none. */
export function createIngestMetrics(metrics: Metrics): IngestMetrics {
  const accepted = metrics.counter(
    'malabar_ingest_jobs_accepted_total',
    'Jobs that are on disk and were answered with yes (duplicates included).',
    ['queue', 'protocol'],
  );
  const unheard = metrics.counter(
    'malabar_ingest_jobs_unheard_total',
    'Jobs accepted while their queue has no topic: nobody gets them, but a topic that starts at the beginning.',
    ['queue'],
  );
  const refused = metrics.counter(
    'malabar_ingest_jobs_refused_total',
    'Jobs answered with an error, by its code.',
    ['queue', 'code'],
  );
  const seconds = metrics.histogram(
    'malabar_ingest_accept_seconds',
    'From sending a batch to storage until its answer; once a batch, not a job.',
  );
  const jobs = metrics.histogram('malabar_ingest_batch_jobs', 'Jobs in one batch.', {
    buckets: BATCH_JOBS,
  });
  const bytes = metrics.histogram('malabar_ingest_batch_bytes', 'Bytes of one batch.', {
    buckets: BATCH_BYTES,
  });
  const totals = { accepted: 0, refused: 0, connections: 0 };
  return {
    totals,
    accepted(queue, protocol, count) {
      totals.accepted += count;
      accepted.inc({ queue, protocol }, count);
    },
    unheard: (queue, count) => unheard.inc({ queue }, count),
    refused(queue, code, count) {
      totals.refused += count;
      refused.inc({ queue, code }, count);
    },
    batch(jobCount, byteCount, latencyMs) {
      jobs.observe(jobCount);
      bytes.observe(byteCount);
      seconds.observe(latencyMs / 1000);
    },
    ...connectionMetrics(metrics, totals),
  };
}

function connectionMetrics(
  metrics: Metrics,
  totals: { connections: number },
): Pick<IngestMetrics, 'connections' | 'connectionRefused' | 'slowReaderClosed'> {
  const open = metrics.gauge('malabar_ingest_connections_open', 'Connections of producers.', {
    labels: ['protocol'],
  });
  const refused = metrics.counter(
    'malabar_ingest_connections_refused_total',
    'Connections closed at once because there are too many.',
    ['protocol'],
  );
  const slow: Counter<'protocol'> = metrics.counter(
    'malabar_ingest_slow_readers_closed_total',
    'Connections closed because their client does not read its replies.',
    ['protocol'],
  );
  return {
    connections(protocol, change) {
      totals.connections += change;
      open.inc({ protocol }, change);
    },
    connectionRefused: (protocol) => refused.inc({ protocol }),
    slowReaderClosed: (protocol) => slow.inc({ protocol }),
  };
}

/** Bytes of jobs between their arrival and storage's answer, read at every scrape. */
export function exportBytesInFlight(metrics: Metrics, read: () => number): void {
  metrics.gauge('malabar_ingest_inflight_bytes', 'Bytes of jobs that wait for storage.', {
    collect: (gauge) => gauge.set(read()),
  });
}
