import type { MalabarConfig } from '@malabar/config';
import type { KeeperClient } from '@malabar/keeper-client';
import { type Client, connect, type ServiceDefinition } from '@malabar/rpc';

export interface PeersOptions<D extends ServiceDefinition> {
  service: string;
  definition: D;
  discovery: KeeperClient['discovery'];
  grpc: Pick<MalabarConfig['grpc'], 'tls' | 'token'>;
}

/** Every instance of a service, each one on its own: for what not any of them can do. */
export class Peers<D extends ServiceDefinition> {
  #addresses: ReadonlyMap<string, string> = new Map();
  readonly #clients = new Map<string, Client<D> & { close(): void }>();
  readonly #leave: () => void;
  #known = false;

  constructor(private readonly options: PeersOptions<D>) {
    const { discovery, service } = options;
    this.#leave = discovery.watch(service, ({ instances }) => {
      this.#known = true;
      this.#addresses = new Map(instances.map(({ id, addresses }) => [id, addresses.grpc ?? '']));
      this.#forget();
    });
  }

  /** Whether the keeper has told of any instances, or that there are none. */
  get known(): boolean {
    return this.#known;
  }

  /** Names of all that the keeper knows. */
  get names(): string[] {
    return [...this.#addresses.keys()];
  }

  /** Undefined if the keeper knows none of that name. */
  client(name: string): Client<D> | undefined {
    const address = this.#addresses.get(name) ?? '';
    if (address === '') return undefined;
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const client = connect(this.options.definition, { address, ...this.options.grpc });
    this.#clients.set(address, client);
    return client;
  }

  close(): void {
    this.#leave();
    this.#addresses = new Map();
    this.#forget();
  }

  #forget(): void {
    const known = new Set(this.#addresses.values());
    for (const [address, client] of this.#clients) {
      if (known.has(address)) continue;
      client.close();
      this.#clients.delete(address);
    }
  }
}
