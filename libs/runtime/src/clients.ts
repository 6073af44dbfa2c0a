import type { MalabarConfig } from '@malabar/config';
import { BusError, type ServiceName } from '@malabar/core';
import {
  type AddressSource,
  type Binding,
  type Client,
  connect,
  type Directory,
  local,
  type ServiceDefinition,
} from '@malabar/rpc';
import { defaultGrpcListen } from './ports.js';

type AnyClient = Record<string, (request: unknown, options?: unknown) => unknown>;

export interface ClientsOptions {
  config: MalabarConfig;
  /** The services of this process. */
  here: readonly ServiceName[];
  /** Where the keeper says that the others are; asked when the first of them is called. */
  directory(): Directory;
}

/** How services reach each other: decided here and nowhere else. */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #bindings = new Map<string, Binding>();
  readonly #remote = new Map<string, { close(): void }>();

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /** A module of this process has started and serves these. */
  started(bindings: readonly Binding[]): void {
    for (const binding of bindings) this.#bindings.set(binding.definition.fullName, binding);
  }

  get<D extends ServiceDefinition>(service: ServiceName, definition: D): Client<D> {
    return this.#options.here.includes(service)
      ? this.#local(definition)
      : this.#connect(service, definition);
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
    const { token, tls } = this.#options.config.grpc;
    const client = connect(definition, { address: this.#addressOf(service), token, tls });
    this.#remote.set(definition.fullName, client);
    return client;
  }

  /** What is configured wins; the keeper is found no other way; the others are asked for there. */
  #addressOf(service: ServiceName): AddressSource {
    const configured = this.#options.config.addresses[service] ?? [];
    if (configured.length > 0) return async () => [...configured];
    if (service === 'keeper') return defaultGrpcListen(['keeper']);
    return { directory: this.#options.directory(), service };
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
