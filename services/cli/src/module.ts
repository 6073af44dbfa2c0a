import { dispatcherModule } from '@malabar/dispatcher/module';
import { ingestModule } from '@malabar/ingest/module';
import { keeperModule } from '@malabar/keeper/module';
import { metricsModule } from '@malabar/metrics/module';
import type { Module } from '@malabar/runtime';
import { schedulerModule } from '@malabar/scheduler/module';
import { storageModule } from '@malabar/storage/module';

/** Every service that `malabar start` can run. Their order does not matter: each says what it needs. */
export const modules: readonly Module[] = [
  keeperModule,
  storageModule,
  ingestModule,
  dispatcherModule,
  schedulerModule,
  metricsModule,
];
