import type { dispatcher } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Dispatcher } from './dispatcher.js';

/** What operators ask: translates and calls, decides nothing. */
export function createDispatcherService(
  heart: Dispatcher,
): Implementation<typeof dispatcher.DispatcherServiceDefinition> {
  return { listTargets: async () => ({ targets: heart.status() }) };
}
