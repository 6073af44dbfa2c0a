import type { Metrics } from '@malabar/telemetry';

export interface KeeperMetrics {
  published(release: number): void;
  /** The file as it is now is in force. */
  accepted(): void;
  refused(): void;
}

export function createKeeperMetrics(metrics: Metrics): KeeperMetrics {
  const release = metrics.gauge(
    'malabar_keeper_config_release',
    'Number of the configuration that is in force.',
  );
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
    published: (number) => release.set(number),
    accepted: () => broken.set(0),
    refused() {
      refused.inc();
      broken.set(1);
    },
  };
}

/** Gauges that are counted when somebody asks. */
export function exportGauges(
  metrics: Metrics,
  counts: { watchers(): number; services(): Iterable<string> },
): void {
  metrics.gauge('malabar_keeper_config_watchers', 'Instances that follow the configuration.', {
    collect: (gauge) => gauge.set(counts.watchers()),
  });
  metrics.gauge('malabar_keeper_instances', 'Registered instances that are alive, by service.', {
    labels: ['service'],
    collect: (gauge) => {
      gauge.reset();
      for (const service of counts.services()) gauge.inc({ service });
    },
  });
}
