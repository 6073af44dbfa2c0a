import { BusError } from '@malabar/core';
import type { Candidate, Directory, Endpoint, Route } from '@malabar/rpc';

/** An instance that was chosen for a call. */
export interface Picked {
  id: string;
  /** Of the scheme that was asked for. */
  address: string;
  /** The call is over. Where nobody chooses by calls in flight it need not be said. */
  done(): void;
}

interface Counted extends Candidate {
  inFlight: number;
}

/** Chooses instances of one service for calls that are not gRPC's. */
export class ServicePicker {
  readonly #first: Promise<void>;
  readonly #leave: () => void;
  #known = (): void => {};
  #route: Route | undefined;
  #candidates: Counted[] = [];

  constructor(directory: Directory, service: string) {
    this.#first = new Promise((resolve) => {
      this.#known = resolve;
    });
    this.#leave = directory.watch(service, (route) => {
      this.#take(route);
      this.#known();
    });
  }

  /** Waits for the first word of the keeper. Throws UNAVAILABLE if there is nobody to choose. */
  async pick(): Promise<Picked> {
    if (this.#route === undefined) await this.#first;
    const route = this.#route;
    if (route === undefined) throw new BusError('UNAVAILABLE', 'the keeper client is closed');
    if (this.#candidates.length === 0) throw new BusError('UNAVAILABLE', route.reason);
    const chosen = route.balancer.pick(this.#candidates);
    chosen.inFlight++;
    let over = false;
    const done = (): void => {
      if (!over) chosen.inFlight--;
      over = true;
    };
    return { id: chosen.id, address: chosen.address, done };
  }

  stop(): void {
    this.#leave();
    this.#known();
  }

  #take(route: Route): void {
    const known = new Map(this.#candidates.map((each) => [keyOf(each), each]));
    this.#candidates = route.endpoints.map((endpoint) =>
      Object.assign(known.get(keyOf(endpoint)) ?? { inFlight: 0 }, endpoint),
    );
    this.#route = route;
  }
}

function keyOf({ id, address }: Endpoint): string {
  return `${id} ${address}`;
}
