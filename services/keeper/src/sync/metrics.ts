import type { Metrics } from '@malabar/telemetry';

export interface SyncMetrics {
  /** A notice of something new was given to a node's stream, so long after the keeper saw it. */
  pushed(afterMs: number): void;
  /** Any message to a node. */
  noticed(kind: 'content' | 'bare' | 'denied'): void;
  pulled(): void;
  refused(): void;
}

export function createSyncMetrics(metrics: Metrics, nodes: () => number): SyncMetrics {
  metrics.gauge('malabar_keeper_nodes', 'Nodes that follow their configuration here.', {
    collect: (gauge) => gauge.set(nodes()),
  });
  const push = metrics.histogram(
    'malabar_keeper_push_seconds',
    'From the moment the keeper sees a change to the moment a node is sent it.',
  );
  const notices = metrics.counter(
    'malabar_keeper_notices_total',
    'Messages to nodes: notices with their content or bare, and denials.',
    ['kind'],
  );
  const kinds = {
    content: notices.labels('content'),
    bare: notices.labels('bare'),
    denied: notices.labels('denied'),
  };
  const pulls = metrics.counter('malabar_keeper_pulls_total', 'Contents that nodes asked for.');
  const refusals = metrics.counter('malabar_keeper_refusals_total', 'Releases that nodes refused.');
  return {
    pushed: (afterMs) => push.observe(afterMs / 1000),
    noticed: (kind) => kinds[kind].inc(),
    pulled: () => pulls.inc(),
    refused: () => refusals.inc(),
  };
}
