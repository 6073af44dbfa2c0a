import { common, type dispatcher } from '@malabar/contracts';
import { BusError, type Clock, sleep, toBusError } from '@malabar/core';
import type { StorageClient } from './journal-store.js';
import type { Peers } from './peers.js';

const RETRY_MS = 500;
const CALL_TIMEOUT_MS = 5_000;
const { DONE, DEAD, DISCARDED } = common.DeliveryState;
const ENDS: readonly common.DeliveryState[] = [DONE, DEAD, DISCARDED];

export interface RunEnderOptions {
  storage: StorageClient;
  dispatchers: Peers<typeof dispatcher.DispatcherServiceDefinition>;
  clock: Clock;
}

/** A run of a command, and why it is to end. */
export interface Doomed {
  queue: string;
  topic: string;
  jobId: string;
  reason: string;
}

/** Ends commands before their time. */
export class RunEnder {
  constructor(private readonly options: RunEnderOptions) {}

  /** Resolves when the command is being ended or has ended, or was taken back before it began. */
  async end(run: Doomed, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#hasEnded(run)) return;
      if ((await this.#takeBack(run)) || (await this.#kill(run))) return;
      await sleep(this.options.clock, RETRY_MS, signal);
    }
    throw new BusError('UNAVAILABLE', 'this scheduler leads no more');
  }

  async #hasEnded({ jobId, topic }: Doomed): Promise<boolean> {
    try {
      const { deliveries } = await this.options.storage.getJob({ jobId });
      return deliveries.every((one) => one.topic !== topic || ENDS.includes(one.state));
    } catch (thrown) {
      return toBusError(thrown).code === 'UNKNOWN_JOB';
    }
  }

  /** Whether nobody had begun it. */
  async #takeBack({ queue, topic, jobId, reason }: Doomed): Promise<boolean> {
    try {
      const request = { queue, topic, jobIds: [jobId], reason };
      return (await this.options.storage.discard(request)).discarded > 0;
    } catch {
      // Storage is away, or the job is: whoever looks next finds out.
      return false;
    }
  }

  /** Whether one of the dispatchers runs it. */
  async #kill(run: Doomed): Promise<boolean> {
    const { dispatchers } = this.options;
    const answers = await Promise.all(
      dispatchers.names.map((name) =>
        dispatchers
          .client(name)
          ?.killRun(run, { timeoutMs: CALL_TIMEOUT_MS })
          .then(
            () => true,
            () => false,
          ),
      ),
    );
    return answers.some((killed) => killed === true);
  }
}
