import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MalabarConfig } from '@malabar/config';
import { BusError, type Clock } from '@malabar/core';
import type { Backend } from './backend.js';
import { createEtcdBackend } from './backends/etcd.js';
import { createLmdbBackend } from './backends/lmdb.js';

type EtcdSettings = MalabarConfig['keeper']['etcd'];

/** The folder of the embedded backend; undefined where another one is configured. */
export function backendFolder({ data, keeper }: MalabarConfig): string | undefined {
  return keeper.backend === 'lmdb' ? (keeper.path ?? join(data, 'keeper')) : undefined;
}

/** The backend that the configuration names, not opened yet. */
export function createBackend(config: MalabarConfig, clock: Clock, random: () => number): Backend {
  const path = backendFolder(config);
  if (path !== undefined) return createLmdbBackend({ path, clock });
  const { endpoints, prefix, user, password, tls } = config.keeper.etcd;
  return createEtcdBackend({
    endpoints,
    prefix,
    user,
    password: password?.reveal(process.env),
    tls: tls && readTls(tls),
    clock,
    random,
  });
}

function readTls(files: NonNullable<EtcdSettings['tls']>): Record<string, Buffer> {
  const entries = Object.entries(files).filter(([, file]) => file !== undefined);
  return Object.fromEntries(entries.map(([name, file]) => [name, pem(name, file)]));
}

function pem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new BusError('INVALID', `keeper.etcd.tls.${setting}: ${file} cannot be read: ${code}`);
  }
}
