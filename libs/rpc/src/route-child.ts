import { type ChannelOptions, connectivityState, experimental } from '@grpc/grpc-js';
import { InFlight } from './in-flight.js';
import type { Candidate, Endpoint } from './route.js';

/** One endpoint of a route with its connection, which is kept up for as long as the route has it. */
export class Child implements Candidate {
  /** The newest word about the endpoint; its id and address never change. */
  endpoint: Endpoint;
  readonly #calls = new InFlight();
  readonly #leaf: experimental.LeafLoadBalancer;

  /** `onChange` hears of every change of the connection, with the error that caused it. */
  constructor(
    endpoint: Endpoint,
    helper: experimental.ChannelControlHelper,
    options: ChannelOptions,
    onChange: (error: string | null) => void,
  ) {
    this.endpoint = endpoint;
    const { host, port = 0 } = experimental.splitHostPort(endpoint.address) ?? { host: '' };
    const own = experimental.createChildChannelControlHelper(helper, {
      updateState: (_state, _picker, error) => onChange(error),
      // The directory tells of changes unasked.
      requestReresolution: () => {},
    });
    // A certificate names the host that is called, not the service by which it was found.
    const named = { ...options, 'grpc.ssl_target_name_override': host };
    this.#leaf = new experimental.LeafLoadBalancer({ addresses: [{ host, port }] }, own, named, '');
  }

  get id(): string {
    return this.endpoint.id;
  }

  get address(): string {
    return this.endpoint.address;
  }

  get weight(): number {
    return this.endpoint.weight;
  }

  get zone(): string {
    return this.endpoint.zone;
  }

  /** A connection that stands is better proof of life than a lease that has ended. */
  get suspect(): boolean {
    return this.endpoint.suspect && !this.ready;
  }

  get inFlight(): number {
    return this.#calls.count;
  }

  get ready(): boolean {
    return this.#leaf.getConnectivityState() === connectivityState.READY;
  }

  /** Neither connected nor known to fail. */
  get pending(): boolean {
    return !this.ready && this.#leaf.getConnectivityState() !== connectivityState.TRANSIENT_FAILURE;
  }

  connect(): void {
    this.#leaf.startConnecting();
  }

  /** Connects again if the connection was lost. After a failure grpc-js tries again by itself. */
  reconnect(): void {
    if (this.#leaf.getConnectivityState() === connectivityState.IDLE) this.#leaf.exitIdle();
  }

  pick(args: experimental.PickArgs): experimental.PickResult {
    const picked = this.#leaf.getPicker().pick(args);
    if (picked.pickResultType !== experimental.PickResultType.COMPLETE) return picked;
    const calls = this.#calls;
    calls.chosen();
    return { ...picked, onCallStarted: () => calls.started(), onCallEnded: () => calls.ended() };
  }

  /** Calls under way end by themselves. */
  destroy(): void {
    this.#leaf.destroy();
  }
}
