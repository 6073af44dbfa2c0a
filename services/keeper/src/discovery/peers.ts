import { config } from '@malabar/contracts';
import { connect, type RemoteClient, type TlsOptions, type Token } from '@malabar/rpc';
import type { InstanceView } from './instance-view.js';

type ConfigClient = RemoteClient<typeof config.ConfigServiceDefinition>;

/** Another keeper on the same backend. */
export interface Peer {
  keeperId: string;
  config: ConfigClient;
}

export interface PeersOptions {
  view: InstanceView;
  /** This keeper's own id. */
  self: string;
  token?: Token;
  tls?: TlsOptions;
}

/** The other keepers as the registry knows them, with a client of each. */
export class Peers {
  readonly #options: PeersOptions;
  /** By address. */
  readonly #clients = new Map<string, ConfigClient>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Those that are alive. */
  list(): Peer[] {
    const { view, self } = this.#options;
    const addresses = new Map<string, string>();
    for (const { record, deadSinceMs } of view.instances('keeper')) {
      const { id = '', addresses: all = {} } = record.instance ?? {};
      const address = all.grpc;
      if (address && id !== self && deadSinceMs === undefined) addresses.set(address, id);
    }
    this.#closeExcept(addresses);
    return [...addresses].map(([address, keeperId]) => ({
      keeperId,
      config: this.#client(address),
    }));
  }

  close(): void {
    this.#closeExcept(new Map());
  }

  #client(address: string): ConfigClient {
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const { token, tls } = this.#options;
    const client = connect(config.ConfigServiceDefinition, { address, token, tls });
    this.#clients.set(address, client);
    return client;
  }

  #closeExcept(addresses: ReadonlyMap<string, string>): void {
    for (const [address, client] of this.#clients) {
      if (addresses.has(address)) continue;
      client.close();
      this.#clients.delete(address);
    }
  }
}
