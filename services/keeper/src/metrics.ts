import type { Clock, ErrorCode } from '@malabar/core';
import type { Metrics } from '@malabar/telemetry';

/** What becomes of a release. */
export type ReleaseAction = 'publish' | 'promote' | 'abort' | 'rollback';

export interface ConfigMetrics {
  done(action: ReleaseAction): void;
  /** A write of the configuration was refused, with this code. */
  refused(code: ErrorCode): void;
}

export function createConfigMetrics(metrics: Metrics): ConfigMetrics {
  const done = metrics.counter(
    'malabar_keeper_releases_total',
    'Releases by what was done: publish (canaries included), promote, abort, rollback.',
    ['action'],
  );
  const refused = metrics.counter(
    'malabar_keeper_config_writes_refused_total',
    'Writes of the configuration that were refused, by error code; CONFLICT is a lost race.',
    ['code'],
  );
  return {
    done: (action) => done.inc({ action }),
    refused: (code) => refused.inc({ code }),
  };
}

/** Gauges of the store that are read when somebody asks. */
export function exportStoreGauges(
  metrics: Metrics,
  store: { domains: ReadonlyMap<string, unknown>; cachedBytes: number; lostAtMs?: number },
  clock: Clock,
): void {
  metrics.gauge('malabar_keeper_domains', 'Domains of the configuration.', {
    collect: (gauge) => gauge.set(store.domains.size),
  });
  metrics.gauge('malabar_keeper_cache_bytes', 'Files of the configuration held in memory.', {
    collect: (gauge) => gauge.set(store.cachedBytes),
  });
  metrics.gauge('malabar_keeper_backend_up', '0 while the backend does not answer.', {
    collect: (gauge) => gauge.set(store.lostAtMs === undefined ? 1 : 0),
  });
  metrics.gauge(
    'malabar_keeper_view_lag_seconds',
    'For how long the configuration may be out of date, because the backend does not answer.',
    {
      collect: (gauge) =>
        gauge.set(store.lostAtMs === undefined ? 0 : (clock.now() - store.lostAtMs) / 1000),
    },
  );
}
