import type { MalabarConfig } from '@malabar/config';
import { keeper } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { type Binding, type Client, connect, local, type ServiceDefinition } from '@malabar/rpc';
import type { ServiceName } from './module.js';
import { defaultGrpcListen } from './ports.js';

type AnyClient = Record<string, (request: unknown, options?: unknown) => unknown>;

/** How services reach each other: decided here and nowhere else. */
export class Clients {
  readonly #bindings = new Map<string, Binding>();
  readonly #remote = new Map<string, { close(): void }>();

  constructor(
    private readonly config: MalabarConfig,
    private readonly here: ReadonlySet<ServiceName>,
  ) {}

  /** A module of this process has started and serves these. */
  started(bindings: readonly Binding[]): void {
    for (const binding of bindings) this.#bindings.set(binding.definition.fullName, binding);
  }

  get<D extends ServiceDefinition>(service: ServiceName, definition: D): Client<D> {
    return this.here.has(service) ? this.#local(definition) : this.#connect(service, definition);
  }

  close(): void {
    for (const client of this.#remote.values()) client.close();
  }

  /** The service may start after its caller, so it is looked up when it is called. */
  #local<D extends ServiceDefinition>(definition: D): Client<D> {
    let target: AnyClient | undefined;
    const find = (): AnyClient => {
      const binding = this.#bindings.get(definition.fullName);
      if (binding === undefined)
        throw new BusError('UNAVAILABLE', `${definition.name} has not started yet`);
      target ??= local(binding) as unknown as AnyClient;
      return target;
    };
    const methods = Object.entries(definition.methods).map(([name, { responseStream }]) => {
      const call = (request: unknown, options?: unknown): unknown =>
        find()[name]?.(request, options);
      return [name, responseStream ? lateStream(call) : latePromise(call)];
    });
    return Object.fromEntries(methods) as Client<D>;
  }

  #connect<D extends ServiceDefinition>(service: ServiceName, definition: D): Client<D> {
    const known = this.#remote.get(definition.fullName);
    if (known !== undefined) return known as unknown as Client<D>;
    const { token, tls } = this.config.grpc;
    const client = connect(definition, { address: () => this.#addresses(service), token, tls });
    this.#remote.set(definition.fullName, client);
    return client;
  }

  async #addresses(service: ServiceName): Promise<string[]> {
    const configured = this.config.addresses[service];
    if (configured !== undefined && configured.length > 0) return [...configured];
    if (service === 'keeper') return [defaultGrpcListen(['keeper'])];
    const client = this.get('keeper', keeper.KeeperServiceDefinition);
    const { instances } = await client.resolve({ service });
    if (instances.length === 0)
      throw new BusError('UNAVAILABLE', `the keeper knows no running ${service}`);
    return instances.map(({ address }) => address);
  }
}

type Call = (request: unknown, options?: unknown) => unknown;

const latePromise =
  (call: Call): Call =>
  async (request, options) =>
    call(request, options);

const lateStream =
  (call: Call): Call =>
  (request, options) => ({
    [Symbol.asyncIterator]: () =>
      (call(request, options) as AsyncIterable<unknown>)[Symbol.asyncIterator](),
  });
