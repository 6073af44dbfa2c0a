import { config, dispatcher, ingest } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import { connectKeeper, DiscoveryClient } from '@malabar/keeper-client';
import {
  type AddressSource,
  type Client,
  type ConnectOptions as ClientOptions,
  connect,
} from '@malabar/rpc';
import type { Log } from './log.js';

export interface ServicesOptions {
  /** Of a bus in one process. */
  address: string;
  /** Of keepers, which know where the services are; none for the one address. */
  keepers: readonly string[];
  tls: ClientOptions['tls'];
  token: string | undefined;
  clock: Clock;
  random: () => number;
  log: Log;
}

/** The services of the bus that a program speaks to. */
export interface Services {
  readonly ingest: Client<typeof ingest.IngestServiceDefinition>;
  readonly workers: Client<typeof dispatcher.WorkerServiceDefinition>;
  readonly config: Client<typeof config.ConfigServiceDefinition>;
  close(): Promise<void>;
}

/** Opens nothing before it is used. */
export function openServices(options: ServicesOptions): Services {
  const { tls, token } = options;
  const found = options.keepers.length === 0 ? atOneAddress(options) : throughKeepers(options);
  // Streams are opened again by those who use them.
  const settings = { tls, token, retries: false };
  const clients = {
    ingest: connect(ingest.IngestServiceDefinition, { ...settings, address: found.of('ingest') }),
    workers: connect(dispatcher.WorkerServiceDefinition, {
      ...settings,
      address: found.of('dispatcher'),
    }),
    config: connect(config.ConfigServiceDefinition, { tls, token, address: found.keeper }),
  };
  return {
    ...clients,
    async close() {
      for (const client of Object.values(clients)) client.close();
      await found.close();
    },
  };
}

interface Found {
  of(service: string): AddressSource;
  keeper: AddressSource;
  close(): Promise<void>;
}

function atOneAddress({ address }: ServicesOptions): Found {
  return { of: () => address, keeper: address, close: async () => {} };
}

function throughKeepers({ keepers, tls, token, clock, random, log }: ServicesOptions): Found {
  const keeper = connectKeeper({ addresses: keepers, tls, token, random });
  const client = keeper.discovery;
  const discovery = new DiscoveryClient({ client, zone: '', env: '', clock, random, log });
  const directory = discovery.directory();
  return {
    of: (service) => ({ directory, service }),
    keeper: async () => [...keepers],
    async close() {
      await discovery.close();
      keeper.close();
    },
  };
}
