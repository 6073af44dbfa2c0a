import type { config, sync } from '@malabar/contracts';
import { BusError, type Clock, every } from '@malabar/core';
import type { CallContext } from '@malabar/rpc';
import { Departed } from './departed.js';
import { Following, type FollowingEnvironment } from './following.js';
import type { SyncMetrics } from './metrics.js';
import { NodeContents } from './node-contents.js';
import type { ReleaseSource } from './release-source.js';
import { Session } from './session.js';

/** Reminders of a period are spread, so that they are no wave. */
const SLICES = 10;
const RETRY_MS = 1_000;
// Sockets are written to at the end of a turn of the event loop: the first nodes of many do not wait
// for the last.
const NODES_PER_TURN = 32;

export interface HubOptions {
  keeperId: string;
  source: ReleaseSource;
  /** How often nodes are told again what they should run. */
  reconcileMs: number;
  /** Whether the caller may receive a domain as a node. Throws if he is nobody any more. */
  mayReceive(context: CallContext, domain: string): boolean;
  metrics: SyncMetrics;
  clock: Clock;
}

/** A domain on the stream of a node. */
interface Place {
  session: Session;
  following: Following;
}

/** All nodes that are connected to this keeper, by what they follow. */
export class Hub {
  readonly keeperId: string;
  readonly reconcileMs: number;
  readonly #source: ReleaseSource;
  readonly #clock: Clock;
  readonly #contents: NodeContents;
  readonly #environment: FollowingEnvironment;
  readonly #sessions = new Set<Session>();
  readonly #byDomain = new Map<string, Set<Place>>();
  /** Who stands for a node of a domain, by both names: at most one, and only who may be it. */
  readonly #nodes = new Map<string, Place>();
  readonly #departed: Departed;
  readonly #stops: Array<() => void> = [];
  #slice = 0;
  #cancelRetry: (() => void) | undefined;
  #closed = false;

  constructor(options: HubOptions) {
    const { keeperId, source, reconcileMs, mayReceive, metrics, clock } = options;
    this.keeperId = keeperId;
    this.reconcileMs = reconcileMs;
    this.#source = source;
    this.#clock = clock;
    this.#departed = new Departed(clock);
    this.#contents = new NodeContents(source);
    this.#environment = {
      source,
      contents: this.#contents,
      metrics,
      mayReceive,
      now: () => clock.now(),
      onTrouble: () => this.#retry(),
    };
    this.#stops.push(
      source.onChange((domain) => void this.#changed(domain)),
      every(clock, reconcileMs / SLICES, () => this.#remind()),
    );
  }

  /** Nodes that are connected. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Opens the session of a node. Whoever has its id in a domain that it may have must go. */
  join(hello: sync.Hello, context: CallContext): Session {
    if (this.#closed) throw this.#stopping();
    const followings = hello.domains.map(
      (domain) => new Following(hello, domain, context, this.#environment),
    );
    const session = new Session(hello.nodeId, followings);
    this.#sessions.add(session);
    for (const following of followings) {
      const place = { session, following };
      this.#placesOf(following.domain).add(place);
      this.#admit(place);
    }
    return session;
  }

  /** The stream of a session has ended. */
  leave(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const { domain, nodeId } of session.followings) {
      const places = this.#placesOf(domain);
      for (const place of places) if (place.session === session) places.delete(place);
      if (places.size === 0) this.#byDomain.delete(domain);
      const name = nameOf(domain, nodeId);
      const place = this.#nodes.get(name);
      if (place?.session !== session) continue;
      this.#departed.left(this.#nodeOf(place));
      this.#nodes.delete(name);
    }
  }

  /** Nodes of a domain, or of all, that are here or have left within the hour. */
  nodes(domain: string): config.Node[] {
    const here = [...this.#nodes.values()].map((place) => this.#nodeOf(place));
    const all = [...here, ...this.#departed.list()];
    return domain === '' ? all : all.filter((node) => node.domain === domain);
  }

  /** Ends all sessions, so that their nodes go to another keeper. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#cancelRetry?.();
    for (const session of this.#sessions) session.end(this.#stopping());
  }

  /** Looks at every node of a domain again, once what they will get is at hand. */
  async #changed(domain: string): Promise<void> {
    const atMs = this.#clock.now();
    this.#contents.prune(domain);
    await this.#contents.warm(domain);
    const places = [...(this.#byDomain.get(domain) ?? [])];
    const wake = (from: number): void => {
      const end = Math.min(places.length, from + NODES_PER_TURN);
      for (const place of places.slice(from, end)) this.#wake(place, atMs);
      if (end < places.length) setImmediate(wake, end);
    };
    wake(0);
  }

  #wake(place: Place, changedAtMs: number): void {
    this.#admit(place);
    place.following.changed(changedAtMs);
    place.session.due(place.following);
  }

  #remind(): void {
    this.#slice = (this.#slice + 1) % SLICES;
    let at = 0;
    for (const session of this.#sessions) {
      if (at++ % SLICES === this.#slice) session.remind();
    }
    for (const places of this.#byDomain.values()) {
      for (const place of places) this.#admit(place);
    }
  }

  /** One timer for all who could not be told because the backend did not answer. */
  #retry(): void {
    this.#cancelRetry ??= this.#clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      for (const places of this.#byDomain.values()) {
        for (const { session, following } of places) if (following.troubled) session.due(following);
      }
    });
  }

  /** Makes a following the one of its node, once it may be; the one before ends. */
  #admit(place: Place): void {
    const { following } = place;
    const { domain, nodeId } = following;
    if (following.admitted || !this.#source.domains.has(domain) || !following.mayReceive) return;
    following.admitted = true;
    const name = nameOf(domain, nodeId);
    const before = this.#nodes.get(name)?.session;
    this.#nodes.set(name, place);
    this.#departed.returned(domain, nodeId);
    if (before === undefined || before === place.session) return;
    const message = `node ${nodeId} has said hello again, from ${following.peer}: this stream ends`;
    before.end(new BusError('CONFLICT', message));
  }

  #nodeOf({ following }: Place): config.Node {
    return following.node({ keeperId: this.keeperId, connected: true });
  }

  #placesOf(domain: string): Set<Place> {
    const known = this.#byDomain.get(domain);
    if (known !== undefined) return known;
    const places = new Set<Place>();
    this.#byDomain.set(domain, places);
    return places;
  }

  #stopping(): BusError {
    return new BusError('UNAVAILABLE', `keeper ${this.keeperId} stops: connect to another`);
  }
}

function nameOf(domain: string, nodeId: string): string {
  return `${domain}\n${nodeId}`;
}
