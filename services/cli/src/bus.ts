import type { MalabarConfig } from '@malabar/config';
import {
  access,
  config,
  discovery,
  dispatcher,
  election,
  ingest,
  metrics,
  scheduler,
  sources,
  storage,
} from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { type Client, connect } from '@malabar/rpc';
import type { ProcessNote } from '@malabar/runtime';
import { CommandError, EXIT } from './exit.js';

/** The contract of each service; the keeper has several. */
const DEFINITIONS = {
  config: config.ConfigServiceDefinition,
  discovery: discovery.DiscoveryServiceDefinition,
  election: election.ElectionServiceDefinition,
  access: access.AccessServiceDefinition,
  ingest: ingest.IngestServiceDefinition,
  sources: sources.SourceServiceDefinition,
  storage: storage.StorageServiceDefinition,
  dispatcher: dispatcher.DispatcherServiceDefinition,
  scheduler: scheduler.SchedulerServiceDefinition,
  metrics: metrics.MetricsServiceDefinition,
} as const;

type Definitions = typeof DEFINITIONS;
export type BusService = keyof Definitions;
/** A client of a service. */
export type BusClient<S extends BusService> = Client<Definitions[S]>;

/** The instances that have a contract, where they are not called like it. */
const HOST: Partial<Record<BusService, string>> = { sources: 'ingest' };
const OF_THE_KEEPER: readonly BusService[] = ['config', 'discovery', 'election', 'access'];

/** The services of a running bus, found through one address. */
export interface Bus {
  /** The address that answered; of the keeper that does not where none does. */
  readonly address: string;
  /** No keeper answers: only the processes of this machine are known. */
  readonly keeperAway: boolean;
  /** A client of a service; throws a CommandError if no instance is known. */
  client<S extends BusService>(service: S): Client<Definitions[S]>;
  /** A client of every instance that the keeper knows; of the one behind the address without a keeper. */
  clients<S extends BusService>(service: S): Array<{ id: string; client: BusClient<S> }>;
  /** Every instance that the keeper knew at the start; undefined if the address is no keeper. */
  readonly instances: readonly discovery.Instance[] | undefined;
  close(): void;
}

export interface BusOptions {
  /** Addresses to try in this order. */
  addresses: readonly string[];
  grpc: Pick<MalabarConfig['grpc'], 'tls' | 'token'>;
  /** What a user shows to the bus at an address, instead of the token of the bus. */
  userToken?: (address: string) => string | undefined;
  /** Limit of each call that finds a service. */
  timeoutMs: number;
  /** The processes of this machine, for when no address answers. */
  processes?: () => Promise<readonly ProcessNote[]>;
}

interface Entry {
  address: string;
  token: string | undefined;
  instances: discovery.Instance[] | undefined;
  keeperAway: boolean;
}

/**
 * Opens the bus behind the first address that answers. A keeper there (also inside `malabar start`
 * with everything in one process) says where every service is; at any other service's address
 * only that one is found. Where none answers, the processes of this machine are asked: one of them may be
 * the keeper, and without a keeper the others still tell of jobs.
 */
export async function openBus(options: BusOptions): Promise<Bus> {
  const entry = await findEntry(options);
  const { token } = entry;
  const { tls } = options.grpc;
  const open = new Map<string, { close(): void }>();
  const clientAt = <S extends BusService>(service: S, address: string): Client<Definitions[S]> => {
    const key = `${service} ${address}`;
    const client = open.get(key) ?? connect(DEFINITIONS[service], { address, tls, token });
    open.set(key, client);
    return client as never;
  };
  return {
    address: entry.address,
    keeperAway: entry.keeperAway,
    instances: entry.instances,
    client: (service) => clientAt(service, addressOf(service, entry)),
    clients(service) {
      const client = (address: string) => clientAt(service, address);
      if (entry.instances === undefined)
        return [{ id: entry.address, client: client(entry.address) }];
      return entry.instances
        .filter((instance) => isOf(service, instance))
        .map(({ id, addresses }) => ({ id, client: client(addresses.grpc as string) }));
    },
    close() {
      for (const client of open.values()) client.close();
    },
  };
}

async function findEntry(options: BusOptions): Promise<Entry> {
  const { addresses, processes = async () => [] } = options;
  const found = await firstEntry(addresses, options);
  if (found !== undefined) return found;
  const notes = await processes();
  const keepers = notes.filter(({ services }) => services.includes('keeper'));
  const own = keepers.map(({ grpcAddress }) => grpcAddress);
  const keeper = await firstEntry(own, options);
  if (keeper !== undefined) return keeper;
  if (notes.length > 0) return withoutKeeper(notes, options);
  throw new CommandError(
    EXIT.unreachable,
    `no bus answers at ${addresses.join(' or ')}`,
    'start one with `malabar start`, or name its address with --address or MALABAR_ADDRESS',
  );
}

/** The first address at which something answers; undefined if there is none. */
async function firstEntry(
  addresses: readonly string[],
  { grpc, userToken, timeoutMs }: BusOptions,
): Promise<Entry | undefined> {
  for (const address of addresses) {
    const token = userToken?.(address) ?? grpc.token;
    const { DiscoveryServiceDefinition: definition } = discovery;
    const client = connect(definition, { address, tls: grpc.tls, token });
    const entry = { address, token, keeperAway: false };
    try {
      const { services } = await client.resolve({ services: [], env: '*' }, { timeoutMs });
      return { ...entry, instances: services.flatMap(({ instances }) => instances) };
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      // No keeper, or one that does not tell this user: what he asks for may still be right there.
      if (error.code === 'UNSUPPORTED' || error.code === 'FORBIDDEN')
        return { ...entry, instances: undefined };
      if (error.code !== 'UNAVAILABLE' && error.code !== 'TIMEOUT') throw error;
    } finally {
      client.close();
    }
  }
  return undefined;
}

/** A bus of which only the processes of this machine are known. */
function withoutKeeper(
  notes: readonly ProcessNote[],
  { addresses, grpc, userToken }: BusOptions,
): Entry {
  const instances = notes.flatMap(({ node, services, grpcAddress, opsAddress }) =>
    services.map((service) => {
      const at = { grpc: grpcAddress, ops: opsAddress };
      return discovery.Instance.fromPartial({ service, id: node, addresses: at });
    }),
  );
  // Who has logged in has done so at the keeper.
  const session = addresses.map((address) => userToken?.(address)).find((token) => token);
  const token = session ?? grpc.token;
  return { address: addresses.join(' or '), token, instances, keeperAway: true };
}

const isOf = (service: BusService, instance: discovery.Instance): boolean =>
  instance.service === (HOST[service] ?? service) && Boolean(instance.addresses.grpc);

function addressOf(service: BusService, entry: Entry): string {
  const { address, instances, keeperAway } = entry;
  const ofKeeper = OF_THE_KEEPER.includes(service);
  if (keeperAway && ofKeeper)
    throw new CommandError(
      EXIT.unreachable,
      `no keeper answers at ${address}`,
      'this needs one: start it with `malabar start keeper`, or name its address with --address',
    );
  if (instances === undefined || ofKeeper) return address;
  const found = instances
    .filter((instance) => isOf(service, instance))
    .sort((a, b) => Number(a.suspect) - Number(b.suspect))[0];
  if (found) return found.addresses.grpc as string;
  throw new CommandError(
    EXIT.unreachable,
    keeperAway
      ? `no ${service} runs on this machine, and no keeper at ${address} knows of others`
      : `no ${service} is registered at the keeper ${address}`,
    `start one with \`malabar start ${service}\``,
  );
}
