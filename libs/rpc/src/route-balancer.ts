import { type ChannelOptions, connectivityState, experimental } from '@grpc/grpc-js';
import type { Endpoint, Route } from './route.js';
import { Child } from './route-child.js';

/** Our policy's name in service configurations. */
export const BALANCER_NAME = 'malabar';

/** The channel attribute that carries a Route to the policy, but not on to the connections. */
export const ROUTE_KEY = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.malabar.route`;

/** Makes the policy known to grpc-js; may be called again. */
export function registerBalancer(): void {
  if (experimental.isLoadBalancerNameRegistered(BALANCER_NAME)) return;
  experimental.registerLoadBalancerType(BALANCER_NAME, RouteBalancer, RouteConfig);
}

/** Everything is in the route; grpc-js wants a configuration all the same. */
class RouteConfig implements experimental.TypedLoadBalancingConfig {
  getLoadBalancerName(): string {
    return BALANCER_NAME;
  }

  toJsonObject(): object {
    return { [BALANCER_NAME]: {} };
  }

  static createFromJson(): RouteConfig {
    return new RouteConfig();
  }
}

/**
 * Holds a connection to every endpoint of a route and spreads the calls over those that stand. A new
 * route changes only what differs: connections to endpoints that stay are not touched.
 */
class RouteBalancer implements experimental.LoadBalancer {
  readonly #helper: experimental.ChannelControlHelper;
  readonly #children = new Map<string, Child>();
  #route: Route | undefined;
  #lastError = '';
  #updating = false;

  constructor(helper: experimental.ChannelControlHelper) {
    this.#helper = helper;
  }

  updateAddressList(...[, , options]: Update): boolean {
    const route: Route = options[ROUTE_KEY];
    this.#route = route;
    this.#updating = true;
    const gone = new Set(this.#children.keys());
    for (const endpoint of route.endpoints) gone.delete(this.#keep(endpoint, options));
    for (const key of gone) this.#drop(key);
    this.#updating = false;
    this.#publish();
    return true;
  }

  // Children connect by themselves, and grpc-js's own backoff is theirs.
  exitIdle(): void {}
  resetBackoff(): void {}

  destroy(): void {
    for (const key of this.#children.keys()) this.#drop(key);
  }

  getTypeName(): string {
    return BALANCER_NAME;
  }

  #keep(endpoint: Endpoint, options: ChannelOptions): string {
    const key = `${endpoint.id} ${endpoint.address}`;
    const known = this.#children.get(key);
    if (known) known.endpoint = endpoint;
    else {
      const child = new Child(endpoint, this.#helper, options, (error) => this.#changed(error));
      this.#children.set(key, child);
      child.connect();
    }
    return key;
  }

  #drop(key: string): void {
    this.#children.get(key)?.destroy();
    this.#children.delete(key);
  }

  #changed(error: string | null): void {
    if (error !== null) this.#lastError = error;
    if (!this.#updating) this.#publish();
  }

  #publish(): void {
    if (this.#route === undefined) return;
    const children = [...this.#children.values()];
    const ready = children.filter((child) => child.ready);
    if (ready.length > 0) this.#serve(ready, this.#route);
    else if (children.some(({ pending }) => pending)) this.#wait();
    else this.#fail(children.length === 0 ? this.#route.reason : this.#lastError);
    for (const child of children) child.reconnect();
  }

  #serve(ready: Child[], { balancer }: Route): void {
    const pick = (args: experimental.PickArgs) => balancer.pick(ready).pick(args);
    this.#helper.updateState(connectivityState.READY, { pick }, null);
  }

  #wait(): void {
    const picker = new experimental.QueuePicker(this);
    this.#helper.updateState(connectivityState.CONNECTING, picker, null);
  }

  #fail(details: string): void {
    const picker = new experimental.UnavailablePicker({ details });
    this.#helper.updateState(connectivityState.TRANSIENT_FAILURE, picker, details);
  }
}

type Update = Parameters<experimental.LoadBalancer['updateAddressList']>;
