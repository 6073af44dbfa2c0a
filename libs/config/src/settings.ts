import type { ServiceName } from '@malabar/core';
import type * as z from 'zod';
import { parseTag } from './command.js';
import type { Documents } from './documents.js';
import {
  addresses,
  count,
  duration,
  type Field,
  listen,
  name,
  oneOf,
  onOff,
  scalar,
  secret,
  section,
  size,
  text,
} from './schema.js';
import type { Secret } from './secret.js';
import { quoted } from './units.js';

const tls = section({
  cert: text.describe('PEM file of the certificate, chain included.'),
  key: text.describe('PEM file of the private key.'),
  ca: text.optional().describe('PEM file of the authorities that peers are checked against.'),
  clientAuth: onOff.prefault(false).describe('Peers must show a certificate of `ca` (mTLS).'),
});

function listener(address: string, about: string) {
  return section({
    listen: listen.prefault(address).describe(about),
    enabled: onOff.prefault(true).describe('Whether this listener exists.'),
  }).prefault({});
}

const ingest = section({
  redis: listener('127.0.0.1:6380', 'The Redis protocol: LPUSH, ADDJOB, GETJOB and others.'),
  pepperbus: listener('127.0.0.1:12017', 'The Redis protocol as pepperbus clients speak it.'),
  http: listener('127.0.0.1:7480', 'HTTP: `POST /v1/queues/<queue>/jobs`.'),
  insecure: onOff
    .prefault(false)
    .describe('Lets these listeners leave loopback while queues have no password.'),
  connectionsMax: count(1)
    .prefault('20_000')
    .describe('Connections at once over all listeners; more are refused.'),
  connectionBytesMax: size
    .prefault('4MiB')
    .describe('Bytes of jobs that one connection may have in flight before it is read no further.'),
  totalBytesMax: size
    .prefault('256MiB')
    .describe('Bytes of jobs in flight over all connections; above it pushes are refused.'),
  tls: tls.optional().describe('TLS for the listeners of ingest; without it they speak plain.'),
}).prefault({});

const storage = section({
  path: text.optional().describe('Folder of the embedded engine; `<data>/store` if not given.'),
  bytesMax: size
    .optional()
    .describe('The store refuses new jobs above this size; without it the disk is the limit.'),
  cacheBytes: size.prefault('32MiB').describe('Memory for records that are being delivered.'),
  settleDelayMs: duration
    .prefault('5ms')
    .describe('How long an acknowledgement may wait to share a commit with others.'),
}).prefault({});

/** A list, or names separated by commas, as in a variable. */
const tags = scalar('list of names', (value) => {
  const given = typeof value === 'string' ? value.split(',').map((one) => one.trim()) : value;
  if (!Array.isArray(given)) throw new TypeError(`${quoted(value)} is not a list of names`);
  return [...new Set(given.map(parseTag))];
});

const dispatcher = section({
  prefetch: count(0, 100)
    .prefault(1)
    .describe('Deliveries held ready beside the running ones, as a multiple of the concurrency.'),
  drainMs: duration
    .prefault('30s')
    .describe('How long a stopping process waits for running deliveries.'),
  tags: tags
    .prefault([])
    .describe('What commands are placed by; every dispatcher carries its `node` as well.'),
}).prefault({});

const keeper = section({
  backend: oneOf('lmdb', 'etcd')
    .prefault('lmdb')
    .describe(
      'Where releases, instances and locks are kept: embedded, or in etcd for many keepers.',
    ),
  path: text.optional().describe('Folder of the embedded backend; `<data>/keeper` if not given.'),
  etcd: section({
    endpoints: addresses.prefault(['127.0.0.1:2379']).describe('host:port of the members of etcd.'),
    prefix: text.prefault('/malabar').describe('What every key begins with.'),
    user: text.optional().describe('User of etcd, if it asks for one.'),
    password: secret.optional().describe('Password of that user.'),
    tls: section({
      ca: text.optional().describe('PEM file of the authorities that etcd is checked against.'),
      cert: text.optional().describe('PEM file of the certificate that the keeper shows.'),
      key: text.optional().describe('PEM file of the private key of `cert`.'),
    })
      .optional()
      .describe('TLS to etcd; without it the keeper speaks plain.'),
  }).prefault({}),
  secretKey: secret
    .optional()
    .describe(
      'Key (32 characters or more) under which secrets are kept; the embedded backend makes one in its folder if not given.',
    ),
  previousSecretKey: secret
    .optional()
    .describe('The key before, while `malabar config rotate-key` has not run.'),
  limits: section({
    keys: count(1).prefault('10_000').describe('Keys that a domain may have.'),
    files: count(1).prefault('1_000').describe('Files that a domain may have.'),
    value: size.prefault('1MiB').describe('Bytes that one value may have.'),
  }).prefault({}),
  history: count(1)
    .prefault('1_000')
    .describe('Releases of a domain that stay restorable, unless the domain says otherwise.'),
  reconcileMs: duration
    .prefault('30s')
    .describe('How often a node is told again which release it should run.'),
}).prefault({});

const log = section({
  level: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')
    .prefault('info')
    .describe('The least level that is written.'),
  pretty: onOff.prefault(false).describe('Lines for people instead of JSON.'),
}).prefault({});

const grpc = section({
  listen: listen
    .optional()
    .describe('The gRPC listener; 127.0.0.1:7400, or 7401 to 7406 for one service alone.'),
  tls: tls.optional().describe('TLS between processes; without it they speak plain.'),
  token: secret.optional().describe('Shared by all processes: callers must show it.'),
  insecure: onOff
    .prefault(false)
    .describe('Lets the listener leave loopback without a token or client certificates.'),
}).prefault({});

function serviceAddresses(service: ServiceName) {
  const field =
    service === 'keeper' ? addresses.prefault(['127.0.0.1:7401']) : addresses.optional();
  return field.describe(`gRPC addresses of ${service}, if it runs in other processes.`);
}

/** Every setting of a process, by the key of the file. */
export const settingsFields = {
  data: text.prefault('./data').describe('Folder for everything that the process keeps.'),
  node: name
    .optional()
    .describe('Name of this process in logs and listings; `<hostname>-<pid>` if not given.'),
  zone: name
    .optional()
    .describe(
      'Where this process stands, e.g. a data centre; callers prefer their own zone by policy.',
    ),
  log,
  ops: section({
    listen: listen
      .optional()
      .describe(
        'HTTP for /metrics, /healthz and /readyz; 127.0.0.1:7490, or 7491 to 7496 for one service alone.',
      ),
  }).prefault({}),
  grpc,
  addresses: section({
    keeper: serviceAddresses('keeper'),
    ingest: serviceAddresses('ingest'),
    storage: serviceAddresses('storage'),
    dispatcher: serviceAddresses('dispatcher'),
    scheduler: serviceAddresses('scheduler'),
    metrics: serviceAddresses('metrics'),
  } satisfies Record<ServiceName, unknown>).prefault({}),
  ingest,
  storage,
  dispatcher,
  keeper,
  scheduler: section({}).prefault({}),
  metrics: section({
    listen: listen
      .prefault('127.0.0.1:7488')
      .describe("HTTP for the figures of every process of the bus, by Prometheus's format."),
  }).prefault({}),
};

type Fields = typeof settingsFields;

/** The settings as a file states them: before the defaults that depend on the process. */
export type Settings = { [K in keyof Fields]: z.output<Fields[K]> };

/** TLS of a listener; every file is PEM. */
export interface TlsSettings {
  cert: string;
  key: string;
  ca?: string;
  clientAuth: boolean;
}

/** Where an edge of ingest listens. */
export interface ListenerSettings {
  listen: string;
  enabled: boolean;
}

/** The effective settings of a process; docs/config.md describes every one. */
export interface MalabarConfig {
  data: string;
  node: string;
  zone?: string;
  log: { level: string; pretty: boolean };
  /** Without `listen` the port depends on the services of the process. */
  ops: { listen?: string };
  grpc: { listen?: string; tls?: TlsSettings; token?: string; insecure: boolean };
  addresses: Partial<Record<ServiceName, string[]>>;
  ingest: {
    redis: ListenerSettings;
    pepperbus: ListenerSettings;
    http: ListenerSettings;
    insecure: boolean;
    connectionsMax: number;
    connectionBytesMax: number;
    totalBytesMax: number;
    tls?: TlsSettings;
  };
  storage: { path: string; bytesMax?: number; cacheBytes: number; settleDelayMs: number };
  dispatcher: { prefetch: number; drainMs: number; tags: string[] };
  keeper: {
    backend: 'lmdb' | 'etcd';
    path?: string;
    etcd: {
      endpoints: string[];
      prefix: string;
      user?: string;
      password?: Secret;
      tls?: { ca?: string; cert?: string; key?: string };
    };
    secretKey?: Secret;
    previousSecretKey?: Secret;
    limits: { keys: number; files: number; value: number };
    history: number;
    reconcileMs: number;
  };
  scheduler: Record<string, never>;
  metrics: { listen: string };
  /** Queues and topics of the same file; the keeper serves them. */
  documents: Documents;
}

/** The schema of the settings alone: what the environment and flags can set. */
export const settingsSchema: Field<Settings> = section(settingsFields) as Field<Settings>;
