import { type ChannelOptions, Client as GrpcClient } from '@grpc/grpc-js';
import { BusError } from '@malabar/core';
import { channelCredentials, type TlsOptions } from './credentials.js';
import { CONNECTION_OPTIONS } from './limits.js';
import type { Directory } from './route.js';
import { resolvedBy } from './scheme.js';

/**
 * One address, a function that finds the addresses of the moment, best first, or a service of a
 * directory, whose instances share the calls.
 */
export type AddressSource =
  | string
  | (() => Promise<string[]>)
  | { directory: Directory; service: string };

const OPTIONS = {
  ...CONNECTION_OPTIONS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // HTTP/2's default of 64 KiB holds one batch of deliveries: the next would wait for a round trip.
  'grpc-node.flow_control_window': 1024 * 1024,
};

// grpc-js shares connections among all channels of a process that have the same options.
const OWN_CONNECTION = { 'grpc.use_local_subchannel_pool': 1 };

const NO_RETRIES = { 'grpc.enable_retries': 0 };

/** A gRPC connection to one address. */
export interface Connection {
  address: string;
  client: GrpcClient;
}

/**
 * The connection that calls use. Opened at the first call; where the address is found by a
 * function, found anew after a failure, and then preferably at another address than before.
 */
export class Link {
  readonly #source: AddressSource;
  readonly #tls: TlsOptions | undefined;
  readonly #what: string;
  readonly #options: ChannelOptions;
  readonly #open = new Map<string, Connection>();
  #current: Connection | undefined;
  #searching: Promise<Connection> | undefined;
  #failed: string | undefined;
  #closed = false;

  /** `what` names the service in errors. */
  constructor(options: {
    source: AddressSource;
    tls?: TlsOptions;
    ownConnection?: boolean;
    retries?: boolean;
    what: string;
  }) {
    this.#source = options.source;
    const { ownConnection = false, retries = true } = options;
    this.#options = {
      ...OPTIONS,
      ...(ownConnection && OWN_CONNECTION),
      ...(!retries && NO_RETRIES),
    };
    this.#tls = options.tls;
    this.#what = options.what;
  }

  /** The connection to call on; a promise only while the address has to be found. */
  get(): Connection | Promise<Connection> {
    if (this.#current) return this.#current;
    if (this.#closed) throw new BusError('UNAVAILABLE', `the client of ${this.#what} is closed`);
    if (typeof this.#source === 'string') return this.#use(this.#source);
    if (typeof this.#source === 'object') return this.#follow(this.#source);
    this.#searching ??= this.#search(this.#source).finally(() => {
      this.#searching = undefined;
    });
    return this.#searching;
  }

  /** A call on the connection ended UNAVAILABLE. */
  failed(connection: Connection): void {
    if (typeof this.#source !== 'function' || this.#current !== connection) return;
    this.#failed = connection.address;
    this.#current = undefined;
  }

  /** Calls under way end by themselves; new ones are refused. */
  close(): void {
    this.#closed = true;
    this.#current = undefined;
    this.#keepOnly([]);
  }

  async #search(find: () => Promise<string[]>): Promise<Connection> {
    const addresses = await find();
    if (addresses.length === 0) {
      throw new BusError('UNAVAILABLE', `no address of ${this.#what} is known`);
    }
    if (this.#closed) throw new BusError('UNAVAILABLE', `the client of ${this.#what} is closed`);
    this.#keepOnly(addresses);
    const at = this.#failed === undefined ? -1 : addresses.indexOf(this.#failed);
    return this.#use(addresses[(at + 1) % addresses.length] as string);
  }

  #follow({ directory, service }: { directory: Directory; service: string }): Connection {
    const { address, options } = resolvedBy(directory, service);
    return this.#use(address, { ...this.#options, ...options });
  }

  #use(address: string, options = this.#options): Connection {
    let connection = this.#open.get(address);
    if (connection === undefined) {
      const client = new GrpcClient(address, channelCredentials(this.#tls), options);
      connection = { address, client };
      this.#open.set(address, connection);
    }
    this.#current = connection;
    return connection;
  }

  // Closing lets the calls that are still on a connection end.
  #keepOnly(addresses: readonly string[]): void {
    for (const [address, { client }] of this.#open) {
      if (addresses.includes(address)) continue;
      client.close();
      this.#open.delete(address);
    }
  }
}
