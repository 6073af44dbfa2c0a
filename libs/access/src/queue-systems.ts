import type { keeper } from '@malabar/contracts';

/** Which system owns which queue, by the newest configuration of the bus. */
export class QueueSystems {
  #systems: ReadonlyMap<string, string> = new Map();

  /** Takes a configuration over. */
  take({ queues }: Pick<keeper.BusConfig, 'queues'>): void {
    this.#systems = new Map(queues.map(({ name, system }) => [name, system]));
  }

  /** Empty for a queue of no system and for one that is configured no longer. */
  readonly of = (queue: string): string => this.#systems.get(queue) ?? '';
}
