/** One place where a service answers. */
export interface Endpoint {
  /** Unique in its service. */
  readonly id: string;
  /** host:port. */
  readonly address: string;
  /** Against the weights of the others; above 0. */
  readonly weight: number;
  readonly zone: string;
  /** Probably gone: for when nothing better is left. */
  readonly suspect: boolean;
}

/** An endpoint that can take a call now. */
export interface Candidate extends Endpoint {
  /** Calls of this client that it has not answered yet. */
  readonly inFlight: number;
}

/** Spreads calls. Keeps what it needs to know of the calls before, so each client has its own. */
export interface Balancer {
  /** One of the candidates, of which there is at least one. Cheap: it runs for every call. */
  pick<C extends Candidate>(candidates: readonly C[]): C;
}

/** Where a service answers now and how to choose. */
export interface Route {
  readonly endpoints: readonly Endpoint[];
  readonly balancer: Balancer;
  /** Why there are no endpoints; what failing calls say. */
  readonly reason: string;
}

/** Knows where services are. */
export interface Directory {
  /** Calls back, never at once, with the route as soon as it is known and whenever it changes. */
  watch(service: string, listener: (route: Route) => void): () => void;
}
