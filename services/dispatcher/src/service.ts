import { authorOf } from '@malabar/access';
import type { dispatcher } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import type { Dispatcher } from './dispatcher.js';
import type { Placement } from './placement.js';
import type { CommandRuns } from './runs/runs.js';

export interface DispatcherServiceOptions {
  heart: Dispatcher;
  runs: CommandRuns;
  placement: Placement;
  log: Logger;
}

/** What operators ask: translates and calls, decides nothing. */
export function createDispatcherService({
  heart,
  runs,
  placement: { node, tags },
  log,
}: DispatcherServiceOptions): Implementation<typeof dispatcher.DispatcherServiceDefinition> {
  return {
    listTargets: async ({ queue: wanted }) => ({
      targets: heart.status().filter(({ queue }) => wanted === '' || queue === wanted),
      node,
      tags: [...tags],
      drained: heart.drained,
    }),
    listRuns: async () => ({ runs: runs.list() }),
    watchRun: (ref) => runs.watch(ref),
    async killRun({ reason, ...ref }, context) {
      const author = authorOf(context);
      const run = runs.kill(ref, said(`killed by ${author.name}`, reason));
      log.info({ ...ref, reason, by: author }, 'a run is killed');
      return { run };
    },
    async drain({ reason }, context) {
      const author = authorOf(context);
      const running = heart.drainFor(said(`drained by ${author.name}`, reason));
      log.info({ reason, by: author, running }, 'drained: takes no deliveries until it is resumed');
      return { running };
    },
    async resume(_, context) {
      heart.resume();
      log.info({ by: authorOf(context) }, 'resumed: takes deliveries again');
      return {};
    },
  };
}

const said = (who: string, why: string): string => (why === '' ? who : `${who}: ${why}`);
