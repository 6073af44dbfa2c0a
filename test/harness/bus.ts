import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ingest, storage } from '@malabar/contracts';
import { type Client, connect } from '@malabar/rpc';
import { eventually, freePort, type Server, spawnServer, tempDir } from '@malabar/testkit';

/** The command itself. */
export const MALABAR = fileURLToPath(new URL('../../services/cli/bin/malabar.js', import.meta.url));

/** A machine that runs all tests at once starts a process slowly. */
const PATIENCE = { timeoutMs: 60_000 };

/** The services of a bus in the order in which they are started when each has its own process. */
const SERVICES = ['keeper', 'storage', 'dispatcher', 'ingest'] as const;

export type Part = (typeof SERVICES)[number] | 'all';

export interface BusOptions {
  /** Default 'one-process'. */
  mode?: 'one-process' | 'many-processes';
  /** The documents: YAML that begins with `queues:`. */
  documents: string;
  /** Further settings, as `--set` takes them. */
  settings?: readonly string[];
}

/** A real bus in real processes, started by the `malabar` command. */
export interface Bus {
  /** Folder with malabar.yaml and the data. */
  dir: string;
  file: string;
  ports: Ports;
  /** The processes: `all`, or one for each service. */
  parts: readonly Part[];
  pid(part: Part): number;
  log(part: Part): string;
  /** Sends a signal and waits until the process is gone. */
  kill(part: Part, signal: NodeJS.Signals): Promise<void>;
  /** Starts a process that was killed, on the same ports and data; resolves when it is ready. */
  start(part: Part): Promise<void>;
  /** Resolves when every process says that it can serve. */
  ready(): Promise<void>;
  /** Saves new documents into malabar.yaml, as an operator would. */
  save(documents: string): void;
  storage: Client<typeof storage.StorageServiceDefinition>;
  ingest: Client<typeof ingest.IngestServiceDefinition>;
  stop(): Promise<void>;
}

interface Ports {
  redis: number;
  pepperbus: number;
  http: number;
  /** gRPC, by process. */
  grpc: Record<Part, number>;
  ops: Record<Part, number>;
}

/** Starts a bus in a temporary folder on free ports; resolves when every process is ready. */
export async function startBus(options: BusOptions): Promise<Bus> {
  const parts: readonly Part[] = options.mode === 'many-processes' ? SERVICES : ['all'];
  const dir = tempDir('bus');
  const file = join(dir, 'malabar.yaml');
  mkdirSync(join(dir, 'data'));
  writeFileSync(file, options.documents);
  const ports = await choosePorts(parts);
  const servers = new Map<Part, Server>();
  const start = async (part: Part): Promise<void> => {
    servers.set(part, await startPart(part, { dir, file, ports, parts, options }));
  };
  for (const part of parts) await start(part);
  const home = (service: Part): string =>
    `127.0.0.1:${ports.grpc[parts.includes(service) ? service : 'all']}`;
  const storageClient = connect(storage.StorageServiceDefinition, { address: home('storage') });
  const ingestClient = connect(ingest.IngestServiceDefinition, { address: home('ingest') });
  return {
    dir,
    file,
    ports,
    parts,
    pid: (part) => servers.get(part)?.pid ?? 0,
    log: (part) => servers.get(part)?.log() ?? '',
    async kill(part, signal) {
      servers.get(part)?.kill(signal);
      await servers.get(part)?.exited;
    },
    start,
    async ready() {
      for (const part of parts) await eventually(() => isReady(ports.ops[part]), PATIENCE);
    },
    save: (documents) => writeFileSync(file, documents),
    storage: storageClient,
    ingest: ingestClient,
    async stop() {
      storageClient.close();
      ingestClient.close();
      for (const part of [...parts].reverse()) await servers.get(part)?.stop();
    },
  };
}

async function choosePorts(parts: readonly Part[]): Promise<Ports> {
  const grpc = {} as Record<Part, number>;
  const ops = {} as Record<Part, number>;
  for (const part of parts) {
    grpc[part] = await freePort();
    ops[part] = await freePort();
  }
  const [redis, pepperbus, http] = [await freePort(), await freePort(), await freePort()];
  return { redis, pepperbus, http, grpc, ops };
}

interface PartOptions {
  dir: string;
  file: string;
  ports: Ports;
  parts: readonly Part[];
  options: BusOptions;
}

function startPart(part: Part, { dir, file, ports, parts, options }: PartOptions): Promise<Server> {
  const keeper = parts.includes('keeper') ? ports.grpc.keeper : undefined;
  const settings = [
    `data=${join(dir, 'data')}`,
    `grpc.listen=127.0.0.1:${ports.grpc[part]}`,
    `ops.listen=127.0.0.1:${ports.ops[part]}`,
    `ingest.redis.listen=127.0.0.1:${ports.redis}`,
    `ingest.pepperbus.listen=127.0.0.1:${ports.pepperbus}`,
    `ingest.http.listen=127.0.0.1:${ports.http}`,
    ...(keeper === undefined
      ? ['metrics.listen=127.0.0.1:0']
      : [`addresses.keeper=127.0.0.1:${keeper}`]),
    ...(options.settings ?? []),
  ];
  const services = part === 'all' ? [] : [part];
  const sets = settings.flatMap((setting) => ['--set', setting]);
  return spawnServer({
    command: process.execPath,
    args: [MALABAR, 'start', ...services, '--config', file, ...sets],
    cwd: dir,
    ready: () => isReady(ports.ops[part]),
    readyTimeoutMs: PATIENCE.timeoutMs,
  });
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}
