import type { Metrics } from '@malabar/telemetry';

export interface BusFileMetrics {
  /** What the file says now is published. */
  accepted(): void;
  refused(): void;
}

export function createBusFileMetrics(metrics: Metrics): BusFileMetrics {
  const refused = metrics.counter(
    'malabar_keeper_config_refused_total',
    'Saved configuration files that were refused.',
  );
  const broken = metrics.gauge(
    'malabar_keeper_config_broken',
    '1 while the configuration file is refused and an older release is in force.',
  );
  broken.set(0);
  return {
    accepted: () => broken.set(0),
    refused() {
      refused.inc();
      broken.set(1);
    },
  };
}

/** The number of the bus's own release. */
export function exportRelease(metrics: Metrics, release: () => number): void {
  metrics.gauge(
    'malabar_keeper_config_release',
    "Number of the bus's own configuration (domain malabar) that is in force.",
    { collect: (gauge) => gauge.set(release()) },
  );
}
