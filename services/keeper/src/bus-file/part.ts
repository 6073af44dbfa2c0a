import { BUS_DOMAIN } from '@malabar/config';
import type { KeeperContext, KeeperPart } from '../part.js';
import { BusFile } from './bus-file.js';
import { createBusFileMetrics, exportRelease } from './metrics.js';
import { openBusDomain, publishFirst } from './rules.js';

/** The bus's own domain with its rules, and malabar.yaml as one of its authors. */
export async function createBusFile(context: KeeperContext): Promise<KeeperPart> {
  const { configFile: path, store, metrics } = context;
  await openBusDomain(store);
  exportRelease(metrics, () => store.domains.get(BUS_DOMAIN)?.record.release ?? 0);
  const file = path === undefined ? undefined : createFile(context, path);
  await file?.start();
  await publishFirst(store);
  return { stop: () => file?.stop() };
}

function createFile({ config, store, clock, log, metrics }: KeeperContext, path: string): BusFile {
  return new BusFile({
    path,
    env: process.env,
    // Of an embedded backend this is the only keeper.
    shared: config.keeper.backend !== 'lmdb',
    releases: store,
    clock,
    log,
    metrics: createBusFileMetrics(metrics),
  });
}
