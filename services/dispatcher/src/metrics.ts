import { common, type dispatcher } from '@malabar/contracts';
import type { Metrics } from '@malabar/telemetry';
import type { FastcgiPools } from './targets/fastcgi.js';

/** What one topic's delivery counts. */
export interface TopicMetrics {
  /** Attempts on so many jobs have ended. */
  ended(kind: common.OutcomeKind, jobs: number): void;
  /** How long a request took, or one job at a worker. */
  took(durationMs: number): void;
}

export interface DispatcherMetrics {
  topic(queue: string, topic: string): TopicMetrics;
}

const TOPIC = ['queue', 'topic'] as const;

export function createDispatcherMetrics(metrics: Metrics): DispatcherMetrics {
  const attempts = metrics.counter(
    'malabar_dispatcher_attempts_total',
    'Attempts that ended, by outcome; a request with several jobs counts once for each job.',
    [...TOPIC, 'outcome'],
  );
  const notDelivered = metrics.counter(
    'malabar_dispatcher_not_delivered_total',
    'Jobs put back because they did not reach their consumer.',
    TOPIC,
  );
  const durations = metrics.histogram(
    'malabar_dispatcher_attempt_duration_seconds',
    'How long requests took, or single jobs at a gRPC worker.',
    { labels: TOPIC },
  );
  return {
    topic: (queue, topic) => {
      const duration = durations.labels(queue, topic);
      const released = notDelivered.labels(queue, topic);
      return {
        ended(kind, jobs) {
          const outcome = (common.OutcomeKind[kind] ?? 'unknown').toLowerCase();
          attempts.labels(queue, topic, outcome).inc(jobs);
          if (kind === common.OutcomeKind.RELEASE) released.inc(jobs);
        },
        took: (durationMs) => duration.observe(durationMs / 1000),
      };
    },
  };
}

/** Gauges that are read when somebody scrapes. */
export function exportGauges(
  metrics: Metrics,
  status: () => dispatcher.TargetStatus[],
  pools: FastcgiPools,
): void {
  exportTopicGauge(metrics, status, {
    name: 'malabar_dispatcher_running_jobs',
    help: 'Jobs whose attempts run now.',
    value: ({ running }) => running,
  });
  exportTopicGauge(metrics, status, {
    name: 'malabar_dispatcher_blocked_topics',
    help: '1 while the topic delivers nothing: paused, target not reachable, no worker.',
    value: ({ blocked, lacks }) => (blocked === '' || lacks !== '' ? 0 : 1),
  });
  exportTopicGauge(metrics, status, {
    name: 'malabar_dispatcher_connected_workers',
    help: 'gRPC workers that are connected.',
    value: ({ workers }) => workers,
  });
  metrics.gauge(
    'malabar_dispatcher_fastcgi_connections',
    'Connections to php-fpm, and requests that wait for one, by state.',
    {
      labels: ['address', 'state'],
      collect: (gauge) => {
        gauge.reset();
        for (const [address, { busy, idle, waiting }] of pools.stats())
          for (const [state, count] of Object.entries({ busy, idle, waiting }))
            gauge.set({ address, state }, count);
      },
    },
  );
}

interface TopicGauge {
  name: string;
  help: string;
  value(status: dispatcher.TargetStatus): number;
}

function exportTopicGauge(
  metrics: Metrics,
  status: () => dispatcher.TargetStatus[],
  { name, help, value }: TopicGauge,
): void {
  metrics.gauge(name, help, {
    labels: TOPIC,
    collect: (gauge) => {
      gauge.reset();
      for (const one of status()) gauge.set({ queue: one.queue, topic: one.topic }, value(one));
    },
  });
}
