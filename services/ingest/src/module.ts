import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import type { MalabarConfig } from '@malabar/config';
import { ingest as contract, keeper, storage } from '@malabar/contracts';
import { isLoopback, parseListenAddress, verifyPassword } from '@malabar/core';
import { bind } from '@malabar/rpc';
import { type Module, watchBusConfig } from '@malabar/runtime';
import { Ingest } from './ingest.js';
import { createIngestMetrics, exportBytesInFlight } from './metrics.js';
import { createIngestService } from './service.js';

/** Wiring only: the protocols in front of one intake, configured by the keeper. */
export const ingestModule: Module = {
  name: 'ingest',
  needs: ['keeper', 'storage'],
  async start({ config, clock, random, log, metrics, instanceId, client }) {
    const ingest = new Ingest({
      settings: config.ingest,
      tls: readTls(config.ingest),
      storage: client('storage', storage.StorageServiceDefinition),
      clock,
      random,
      log,
      metrics: createIngestMetrics(metrics),
      instanceId,
      key: randomBytes(32),
      verifyPassword,
    });
    exportBytesInFlight(metrics, () => ingest.intake.bytesInFlight);
    const configuration = watchBusConfig({
      keeper: client('keeper', keeper.KeeperServiceDefinition),
      instanceId,
      clock,
      random,
      log,
      onConfig: (busConfig) => ingest.configure(busConfig),
    });
    try {
      await ingest.start();
    } catch (error) {
      configuration.stop();
      throw error;
    }
    const { intake, rules } = ingest;
    const open = isOpen(config.grpc);
    const service = createIngestService({ intake, rules, clock, open });
    return {
      bindings: [bind(contract.IngestServiceDefinition, service, { access: 'public' })],
      notReady: () => intake.notReady(),
      drain: () => ingest.drain(),
      async stop() {
        configuration.stop();
        await ingest.stop();
      },
    };
  },
};

function isOpen({ listen, insecure }: MalabarConfig['grpc']): boolean {
  // The default is loopback.
  return insecure || listen === undefined || isLoopback(parseListenAddress(listen).host);
}

function readTls({ tls }: MalabarConfig['ingest']): TlsOptions | undefined {
  if (tls === undefined) return undefined;
  return {
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    ca: tls.ca === undefined ? undefined : readFileSync(tls.ca),
    requestCert: tls.clientAuth,
    rejectUnauthorized: tls.clientAuth,
  };
}
