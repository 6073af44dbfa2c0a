import {
  BUS_DOMAIN,
  BusFilesReader,
  QUEUES_FILE,
  SCHEDULES_FILE,
  SOURCES_FILE,
  SYSTEMS_FILE,
} from '@malabar/config';
import type { keeper } from '@malabar/contracts';
import type { SubscribeOptions } from '@malabar/keeper-client';

const FILES = [QUEUES_FILE, SCHEDULES_FILE, SOURCES_FILE, SYSTEMS_FILE];

/** Takes a release over. What it throws is why this process refuses it. */
export type OnBusConfig = (config: keeper.BusConfig) => void | Promise<void>;

interface Listener {
  name: string;
  onConfig: OnBusConfig;
  withoutSecrets: boolean;
}

/**
 * Queues, topics, schedules and sources for all modules of a process: one subscription, read once. Secrets come along
 * if any of the modules wants them.
 */
export class BusConfigFeed {
  readonly #listeners: Listener[] = [];
  #release = 0;

  /** The release that the modules run; 0 before the first. */
  get release(): number {
    return this.#release;
  }

  /** From the first release on, one at a time. */
  add(name: string, onConfig: OnBusConfig, { withoutSecrets = false } = {}): void {
    this.#listeners.push({ name, onConfig, withoutSecrets });
  }

  /** What the process subscribes to, once all its modules have been added. */
  subscription(): SubscribeOptions {
    const withoutSecrets = this.#listeners.every((listener) => listener.withoutSecrets);
    const reader = new BusFilesReader({ withoutSecrets });
    return {
      domain: BUS_DOMAIN,
      subscriptions: FILES.map((file) => ({ file, verbatim: true })),
      withoutSecrets,
      onChange: async (_, view) => {
        const { release } = view;
        await this.#apply({ ...reader.busConfig(view.verbatimFiles()), release });
        this.#release = release;
      },
    };
  }

  /** All modules get it, also if one of them refuses. */
  async #apply(config: keeper.BusConfig): Promise<void> {
    const refusals: string[] = [];
    for (const { name, onConfig } of this.#listeners) {
      try {
        await onConfig(config);
      } catch (error) {
        refusals.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (refusals.length > 0) throw new Error(refusals.join('; '));
  }
}
