import type { Metrics } from '@malabar/telemetry';
import type { Fire, Skip } from './core/record.js';

/** What the leader counts. */
export interface SchedulerMetrics {
  /** A fire is in its queue, so much later than it was due. */
  fired(fire: Fire, lateMs: number): void;
  /** Runs that did not happen, in their queue as such. */
  skipped(skip: Skip): void;
  /** No queue takes a fire. */
  refused(code: string): void;
  /** A schedule has paused itself. */
  paused(): void;
}

const LATENESS_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3600,
];

/** The figures of a scheduler; `leads` and the others are asked at every scrape. */
export function createSchedulerMetrics(
  metrics: Metrics,
  now: { leads(): boolean; schedules(): number; paused(): number },
): SchedulerMetrics {
  const fires = metrics.counter(
    'malabar_scheduler_fires_total',
    'Fires that are in their queue, by what made them: timetable, parent, trigger or backfill',
    ['reason'],
  );
  const skipped = metrics.counter(
    'malabar_scheduler_skipped_total',
    'Runs that did not happen: overlap, misfire, paused, ended or no_node',
    ['reason'],
  );
  const missed = metrics.counter(
    'malabar_scheduler_missed_total',
    'Runs that did not happen because nobody could fire in time and misfire did not want them',
  );
  const refused = metrics.counter(
    'malabar_scheduler_refused_total',
    'Fires that their queue refuses for good, by error code',
    ['code'],
  );
  const paused = metrics.counter(
    'malabar_scheduler_pauses_total',
    'Schedules that have paused themselves after failures',
  );
  const lateness = metrics.histogram(
    'malabar_scheduler_fire_lateness_seconds',
    'From the time that a fire was due, jitter included, until it was safe in its queue',
    { buckets: LATENESS_BUCKETS },
  );
  exportGauges(metrics, now);
  return {
    fired({ reason }, lateMs) {
      fires.inc({ reason });
      if (reason === 'timetable') lateness.observe(Math.max(0, lateMs) / 1000);
    },
    skipped({ reason, count }) {
      skipped.inc({ reason }, count);
      if (reason === 'misfire') missed.inc(count);
    },
    refused: (code) => refused.inc({ code }),
    paused: () => paused.inc(),
  };
}

function exportGauges(
  metrics: Metrics,
  now: { leads(): boolean; schedules(): number; paused(): number },
): void {
  metrics.gauge('malabar_scheduler_leader', 'Whether this process fires: 1 of all has it', {
    collect: (gauge) => gauge.set(now.leads() ? 1 : 0),
  });
  metrics.gauge('malabar_scheduler_schedules', 'Schedules of the release in force', {
    collect: (gauge) => gauge.set(now.schedules()),
  });
  metrics.gauge('malabar_scheduler_paused', 'Schedules that are paused, as the leader knows it', {
    collect: (gauge) => gauge.set(now.paused()),
  });
}
