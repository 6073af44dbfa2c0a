import { createServer } from 'node:net';
import type { MalabarConfig } from '@malabar/config';
import {
  formatListenAddress,
  parseListenAddress,
  SERVICE_NAMES,
  type ServiceName,
} from '@malabar/core';
import { defaultGrpcListen, defaultOpsListen } from '@malabar/runtime';
import { CommandError, EXIT } from './exit.js';

/** A listener that a process will open. */
export interface Listener {
  /** What sets it, for the user to change. */
  key: string;
  /** host:port. */
  address: string;
  /** No setting: the user must edit the file that `key` names. */
  fixed?: boolean;
}

/** The listeners of a process that runs these services. */
export function listenersOf(
  config: MalabarConfig,
  services: readonly ServiceName[] = SERVICE_NAMES,
): Listener[] {
  const { redis, pepperbus, http } = config.ingest;
  const has = (service: ServiceName): boolean => services.includes(service);
  return [
    { key: 'ingest.redis.listen', address: redis.listen, used: has('ingest') && redis.enabled },
    {
      key: 'ingest.pepperbus.listen',
      address: pepperbus.listen,
      used: has('ingest') && pepperbus.enabled,
    },
    { key: 'ingest.http.listen', address: http.listen, used: has('ingest') && http.enabled },
    { key: 'metrics.listen', address: config.metrics.listen, used: has('metrics') },
    { key: 'grpc.listen', address: config.grpc.listen ?? defaultGrpcListen(services), used: true },
    { key: 'ops.listen', address: config.ops.listen ?? defaultOpsListen(services), used: true },
  ].filter(({ used }) => used);
}

/**
 * Throws, naming every address that somebody else holds and how to choose another; `command` wraps
 * the options that do.
 */
export async function assertFree(
  listeners: readonly Listener[],
  command = (settings: string) => settings,
): Promise<void> {
  const free = await Promise.all(listeners.map(({ address }) => isFree(address)));
  const taken = listeners.filter((_, at) => !free[at]);
  if (taken.length === 0) return;
  const names = taken.map(({ key, address }) => `${address} (${key})`).join(', ');
  const others = taken.filter(({ fixed }) => !fixed).map(another);
  const choose = others.length > 0 ? `, or choose another: ${command(others.join(' '))}` : '';
  throw new CommandError(
    EXIT.failure,
    `already in use: ${names}`,
    `stop what holds it (another malabar?)${choose}`,
  );
}

function another({ key, address }: Listener): string {
  const { host, port } = parseListenAddress(address);
  const other = formatListenAddress({ host, port: port > 64_000 ? port - 1_000 : port + 1_000 });
  return `--set ${key}=${other}`;
}

function isFree(address: string): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(new CommandError(EXIT.failure, `cannot listen on ${address}: ${error.code}`));
    });
    server.listen(parseListenAddress(address), () => server.close(() => resolve(true)));
  });
}
