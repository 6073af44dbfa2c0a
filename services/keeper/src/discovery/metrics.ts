import type { Metrics } from '@malabar/telemetry';
import type { Catalog } from './catalog.js';
import type { InstanceView } from './instance-view.js';
import { ANY_ENV } from './listing.js';

/** Gauges that are counted when somebody asks. */
export function exportDiscoveryMetrics(
  metrics: Metrics,
  { view, catalog }: { view: InstanceView; catalog: Catalog },
): void {
  metrics.gauge(
    'malabar_keeper_instances',
    'Registered instances by service; `dead` are those whose lease has ended.',
    {
      labels: ['service', 'state'],
      collect(gauge) {
        gauge.reset();
        for (const { record, deadSinceMs } of view.all()) {
          const service = record.instance?.service ?? '';
          gauge.inc({ service, state: deadSinceMs === undefined ? 'alive' : 'dead' });
        }
      },
    },
  );
  metrics.gauge('malabar_keeper_discovery_watchers', 'Streams that follow services.', {
    collect: (gauge) => gauge.set(catalog.watchers),
  });
  metrics.gauge(
    'malabar_keeper_protected_services',
    'Services whose list is held because too many instances vanished at once.',
    {
      collect: (gauge) =>
        gauge.set(catalog.resolve([], ANY_ENV).filter((service) => service.protected).length),
    },
  );
}
