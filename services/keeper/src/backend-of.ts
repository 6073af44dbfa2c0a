import { join } from 'node:path';
import type { MalabarConfig } from '@malabar/config';
import { BusError, type Clock } from '@malabar/core';
import type { Backend } from './backend.js';
import { createLmdbBackend } from './backends/lmdb.js';

/** The folder of the embedded backend; undefined where another one is configured. */
export function backendFolder({ data, keeper }: MalabarConfig): string | undefined {
  return keeper.backend === 'lmdb' ? (keeper.path ?? join(data, 'keeper')) : undefined;
}

/** The backend that the configuration names, not opened yet. */
export function createBackend(config: MalabarConfig, clock: Clock): Backend {
  const path = backendFolder(config);
  if (path !== undefined) return createLmdbBackend({ path, clock });
  throw new BusError('UNSUPPORTED', `keeper.backend ${config.keeper.backend} is not there`);
}
