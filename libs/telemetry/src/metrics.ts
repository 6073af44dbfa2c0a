import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram, Registry };

/** Names are `malabar_<service>_<noun>_<unit|total>`; RPC metrics keep the ecosystem's names. */
const NAME = /^(malabar_[a-z]+(_[a-z]+)+|grpc_(server|client)_[a-z_]+)$/;

/** Seconds, from a tenth of a millisecond to a minute. */
const BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  30, 60,
];

export interface GaugeOptions<L extends string> {
  labels?: readonly L[];
  /** Called at every scrape, to set values that nobody keeps up to date otherwise. */
  collect?: (gauge: Gauge<L>) => void | Promise<void>;
}

/** The figures of one process. Asking twice for a name gives the same metric. */
export interface Metrics {
  readonly registry: Registry;
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  gauge<L extends string = never>(name: string, help: string, options?: GaugeOptions<L>): Gauge<L>;
  histogram<L extends string = never>(
    name: string,
    help: string,
    options?: { labels?: readonly L[]; buckets?: readonly number[] },
  ): Histogram<L>;
}

/** A registry of its own; `process: true` adds the process's CPU, memory and event loop figures. */
export function createMetrics(options: { process?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const once = <T>(name: string, make: () => T): T => {
    if (!NAME.test(name)) throw new Error(`'${name}' is not a metric name of this project`);
    return (registry.getSingleMetric(name) as T | undefined) ?? make();
  };
  const registers = [registry];
  return {
    registry,
    counter: (name, help, labels = []) =>
      once(name, () => new Counter({ name, help, labelNames: [...labels], registers })),
    gauge: (name, help, { labels = [], collect } = {}) =>
      once(name, () => {
        const gauge: Gauge<NonNullable<(typeof labels)[number]>> = new Gauge({
          name,
          help,
          labelNames: [...labels],
          registers,
          ...(collect && { collect: () => collect(gauge) }),
        });
        return gauge;
      }),
    histogram: (name, help, { labels = [], buckets = BUCKETS_SECONDS } = {}) =>
      once(
        name,
        () =>
          new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers }),
      ),
  };
}
