import type { metrics } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Gatherer } from './gatherer.js';

/** The contract of metrics, answered by a gatherer. */
export function createMetricsService(
  gatherer: Gatherer,
): Implementation<typeof metrics.MetricsServiceDefinition> {
  return {
    gather: async (_, { signal }) => ({ processes: await gatherer.gather(signal) }),
  };
}
