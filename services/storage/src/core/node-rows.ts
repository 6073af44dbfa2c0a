import type { records } from '@malabar/contracts';
import type { Lane } from './lane.js';
import { LaneRow } from './lane-row.js';

/** Since when a node is away that nobody could have seen yet. */
const UNKNOWN = Infinity;

type EndOf = (record: records.EntryRecord) => number;

/** Which nodes are there. */
export interface Presence {
  /** Somebody of the node has subscribed. */
  came(node: string): void;
  /** Somebody of the node is subscribed no more. */
  left(node: string, now: number): void;
  /** Whoever is there has subscribed by now, as far as he could: the others are away from now on. */
  known(now: number): void;
  isAway(node: string): boolean;
  /** Nodes that are away while something waits for them. */
  readonly away: string[];
}

/** The deliveries that are for one node only. */
interface NodeRow {
  readonly row: LaneRow;
  /** Entries in the engine: waiting, due or leased. */
  size: number;
  /** Undefined while somebody of the node is subscribed. */
  awaySinceMs: number | undefined;
}

/**
 * The lanes of one topic for each node that some of its deliveries are for, and which nodes are there.
 * Memory knows only nodes that are there or have something waiting.
 */
export class NodeRows implements Presence {
  readonly #rows = new Map<string, NodeRow>();
  /** Subscribers of each node. */
  readonly #there = new Map<string, number>();

  constructor(
    private readonly newLane: (node: string, priority: number, endOf: EndOf) => Lane,
    /** What the engine holds, by node. */
    held: ReadonlyMap<string, number>,
  ) {
    for (const [node, size] of held) this.#add(node, size, UNKNOWN).row.load();
  }

  get size(): number {
    return this.#rows.size;
  }

  get rows(): Iterable<LaneRow> {
    return Array.from(this.#rows.values(), ({ row }) => row);
  }

  row(node: string): LaneRow | undefined {
    return this.#rows.get(node)?.row;
  }

  /** The row of a node that gets one entry more. */
  grow(node: string, now: number): LaneRow {
    const awaySinceMs = this.#there.has(node) ? undefined : now;
    const known = this.#rows.get(node) ?? this.#add(node, 0, awaySinceMs);
    known.size++;
    return known.row;
  }

  /** An entry of the node is gone. */
  shrink(node: string): void {
    const known = this.#rows.get(node);
    if (known !== undefined && --known.size === 0) this.#rows.delete(node);
  }

  came(node: string): void {
    this.#there.set(node, (this.#there.get(node) ?? 0) + 1);
    this.#sees(node, undefined);
  }

  left(node: string, now: number): void {
    const count = (this.#there.get(node) ?? 0) - 1;
    if (count > 0) this.#there.set(node, count);
    else if (this.#there.delete(node)) this.#sees(node, now);
  }

  known(now: number): void {
    for (const [node, { awaySinceMs }] of this.#rows)
      if (awaySinceMs === UNKNOWN) this.#sees(node, this.#there.has(node) ? undefined : now);
  }

  isAway(node: string): boolean {
    return !this.#there.has(node);
  }

  get away(): string[] {
    return [...this.#rows.keys()].filter((node) => this.isAway(node)).sort();
  }

  /** Whether somebody who is there would find something. */
  get takable(): boolean {
    for (const [node, { row }] of this.#rows) if (!this.isAway(node) && row.takable) return true;
    return false;
  }

  #sees(node: string, awaySinceMs: number | undefined): void {
    const known = this.#rows.get(node);
    if (known === undefined) return;
    known.awaySinceMs = awaySinceMs;
    known.row.endsChanged();
  }

  #add(node: string, size: number, awaySinceMs: number | undefined): NodeRow {
    const endOf = ({ dueAtMs, nodeWaitMs }: records.EntryRecord): number => {
      const away = made.awaySinceMs;
      return away === undefined || nodeWaitMs === 0
        ? Infinity
        : Math.max(away, dueAtMs) + nodeWaitMs;
    };
    const row = new LaneRow((priority) => this.newLane(node, priority, endOf));
    const made: NodeRow = { row, size, awaySinceMs };
    this.#rows.set(node, made);
    return made;
  }
}
