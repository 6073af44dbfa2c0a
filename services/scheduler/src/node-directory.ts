import type { dispatcher, keeper } from '@malabar/contracts';
import { BusError, type Clock, sleep } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Peers } from './peers.js';

const CALL_TIMEOUT_MS = 3_000;
/** A bus that has just started knows its dispatchers a moment later: it is asked again for so long. */
const PATIENCE_MS = 10_000;
const AGAIN_MS = 500;

export interface NodeDirectoryOptions {
  dispatchers: Peers<typeof dispatcher.DispatcherServiceDefinition>;
  clock: Clock;
  log: Logger;
}

/** Knows on which nodes a command runs that is for all of them. */
export class NodeDirectory {
  constructor(private readonly options: NodeDirectoryOptions) {}

  /**
   * The nodes whose dispatchers answer now, carry the tag and are not drained, in order; none if there
   * are none for a while. `queue`: where their jobs will come from. Throws UNAVAILABLE while nobody has
   * said which dispatchers there are.
   */
  async nodesFor({ tag }: keeper.Broadcast, queue: string, signal: AbortSignal): Promise<string[]> {
    const { clock, dispatchers } = this.options;
    const untilMs = clock.now() + PATIENCE_MS;
    for (;;) {
      if (!dispatchers.known)
        throw new BusError('UNAVAILABLE', 'the keeper has not said which dispatchers there are');
      const nodes = await this.#ask(tag, queue);
      if (nodes.length > 0 || clock.now() >= untilMs || signal.aborted) return nodes;
      await sleep(clock, AGAIN_MS, signal);
    }
  }

  async #ask(tag: string, queue: string): Promise<string[]> {
    const { dispatchers } = this.options;
    const answers = await Promise.all(dispatchers.names.map((name) => this.#askOne(name, queue)));
    const carries = ({ node, tags }: dispatcher.ListTargetsResponse): boolean =>
      tag === '' || tag === node || tags.includes(tag);
    const there = answers.filter((one) => one !== undefined);
    const nodes = there.filter((one) => one.drained === '' && carries(one)).map(({ node }) => node);
    return [...new Set(nodes)].sort();
  }

  async #askOne(name: string, queue: string): Promise<dispatcher.ListTargetsResponse | undefined> {
    const { dispatchers, log } = this.options;
    try {
      const options = { timeoutMs: CALL_TIMEOUT_MS };
      return await dispatchers.client(name)?.listTargets({ queue }, options);
    } catch (error) {
      const reason = (error as Error).message;
      log.warn(
        { dispatcher: name, reason },
        'a dispatcher does not answer: nothing runs on it now',
      );
      return undefined;
    }
  }
}
