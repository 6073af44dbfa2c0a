import type { keeper } from '@malabar/contracts';
import {
  RabbitmqSource,
  type SourceContext,
  type SourceFigures,
  type StaleBindings,
} from './source.js';

/** A source and what it was made from. */
interface Slot {
  /** Undefined if it shall be gone. */
  key: string | undefined;
  source: RabbitmqSource | undefined;
  /** Changes of one source wait for each other. */
  changing: Promise<void>;
}

/** All sources of this process, started, replaced and stopped as the configuration wants it. */
export class Sources {
  readonly #slots = new Map<string, Slot>();
  #stopped = false;

  constructor(private readonly context: SourceContext) {}

  /** Takes a release over; sources that did not change are not disturbed. */
  configure(configs: readonly keeper.SourceConfig[]): void {
    if (this.#stopped) return;
    const wanted = new Set(configs.map(({ name }) => name));
    for (const name of this.#slots.keys()) if (!wanted.has(name)) this.#change(name, undefined);
    for (const config of configs) this.#change(config.name, config);
  }

  figures(): SourceFigures[] {
    return [...this.#slots.values()].flatMap(({ source }) => source?.figures() ?? []);
  }

  /** Stops all of them; what they held and storage has not taken comes again, to others. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const name of this.#slots.keys()) this.#change(name, undefined);
    await Promise.all([...this.#slots.values()].map(({ changing }) => changing));
  }

  #change(name: string, config: keeper.SourceConfig | undefined): void {
    const key = config && JSON.stringify(config);
    const slot = this.#slots.get(name) ?? {
      key: undefined,
      source: undefined,
      changing: Promise.resolve(),
    };
    if (this.#slots.has(name) && slot.key === key) return;
    slot.key = key;
    this.#slots.set(name, slot);
    slot.changing = slot.changing.then(() => this.#replace(name, slot, config));
  }

  async #replace(name: string, slot: Slot, config: keeper.SourceConfig | undefined): Promise<void> {
    const before = slot.source;
    await before?.stop();
    slot.source = undefined;
    if (config !== undefined && !this.#stopped) {
      const stale = before && staleBindings(before.config, config);
      slot.source = new RabbitmqSource(config, this.context, stale);
    } else if (slot.key === undefined && this.#slots.get(name) === slot) {
      this.#slots.delete(name);
    }
  }
}

/** What the same RabbitMQ queue was bound to and shall be no longer. */
function staleBindings(
  before: keeper.SourceConfig,
  after: keeper.SourceConfig,
): StaleBindings | undefined {
  const { exchange } = before;
  if (exchange === undefined || before.from !== after.from) return undefined;
  if (before.server?.url !== after.server?.url) return undefined;
  const same = after.exchange?.name === exchange.name ? after.bindings : [];
  const kept = new Set(same.map((binding) => JSON.stringify(binding)));
  const bindings = before.bindings.filter((binding) => !kept.has(JSON.stringify(binding)));
  return bindings.length === 0 ? undefined : { exchange: exchange.name, bindings };
}
