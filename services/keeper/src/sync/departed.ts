import type { config } from '@malabar/contracts';
import type { Clock } from '@malabar/core';

const SHOWN_MS = 60 * 60_000;
const NODES_MAX = 10_000;

/** Nodes that have left, for an hour; the oldest make room when there are too many. */
export class Departed {
  readonly #clock: Clock;
  readonly #nodes = new Map<string, { node: config.Node; leftAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Latest last. */
  list(): config.Node[] {
    this.#prune();
    return [...this.#nodes.values()].map(({ node }) => node);
  }

  left(node: config.Node): void {
    const key = `${node.domain}\n${node.id}`;
    this.#nodes.delete(key);
    this.#nodes.set(key, { node: { ...node, connected: false }, leftAtMs: this.#clock.now() });
    this.#prune();
  }

  /** It is back. */
  returned(domain: string, id: string): void {
    this.#nodes.delete(`${domain}\n${id}`);
  }

  #prune(): void {
    const since = this.#clock.now() - SHOWN_MS;
    for (const [key, { leftAtMs }] of this.#nodes) {
      if (leftAtMs > since && this.#nodes.size <= NODES_MAX) return;
      this.#nodes.delete(key);
    }
  }
}
