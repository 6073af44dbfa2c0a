import type { Metrics } from '@malabar/telemetry';
import type { HoldingView } from './holding-view.js';

export interface ElectionMetrics {
  /** Somebody got a name that nobody held. */
  elected(): void;
}

export function createElectionMetrics(metrics: Metrics, view: HoldingView): ElectionMetrics {
  const elected = metrics.counter(
    'malabar_keeper_elected_total',
    'Names that this keeper gave to a new holder.',
  );
  metrics.gauge('malabar_keeper_elections_held', 'Names that somebody holds.', {
    collect: (gauge) => gauge.set(view.held),
  });
  metrics.gauge('malabar_keeper_election_observers', 'Streams that follow who holds a name.', {
    collect: (gauge) => gauge.set(view.observers),
  });
  return { elected: () => elected.inc() };
}
