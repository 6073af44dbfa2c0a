import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import { guard, QueueSystems, sourceRules } from '@malabar/access';
import type { MalabarConfig } from '@malabar/config';
import { ingest as contract, sources, storage } from '@malabar/contracts';
import { isLoopback, parseListenAddress, verifyPassword } from '@malabar/core';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { Ingest } from './ingest.js';
import { createIngestMetrics, exportBytesInFlight } from './metrics.js';
import { createIngestService } from './service.js';
import { createSourceMetrics, exportSources } from './sources/metrics.js';
import { createSourceService } from './sources/service.js';

/** Wiring only: the protocols in front of one intake, configured by the keeper. */
export const ingestModule: Module = {
  name: 'ingest',
  needs: ['keeper', 'storage'],
  async start(context) {
    const { config, clock, random, log, metrics, instanceId, client } = context;
    const storageClient = client('storage', storage.StorageServiceDefinition);
    const ingest = new Ingest({
      settings: config.ingest,
      tls: readTls(config.ingest),
      storage: storageClient,
      clock,
      random,
      log,
      metrics: createIngestMetrics(metrics),
      sourceMetrics: createSourceMetrics(metrics),
      instanceId,
      node: config.node,
      key: randomBytes(32),
      verifyPassword,
    });
    exportBytesInFlight(metrics, () => ingest.intake.bytesInFlight);
    exportSources(metrics, () => ingest.sources.figures());
    const systems = new QueueSystems();
    context.onBusConfig((busConfig) => {
      systems.take(busConfig);
      ingest.configure(busConfig);
    });
    await ingest.start();
    const { intake, rules } = ingest;
    const caller = { rules, open: isOpen(config.grpc), guarded: isGuarded(config.grpc) };
    const service = createIngestService({ intake, storage: storageClient, clock, ...caller });
    const { SourceServiceDefinition: definition } = sources;
    const asked = createSourceService(config.node, () => ingest.sources.figures());
    const guarded = guard(definition, asked, sourceRules(systems.of), context.authenticate);
    return {
      bindings: [
        bind(contract.IngestServiceDefinition, service, { access: 'public' }),
        bind(definition, guarded, { access: 'public' }),
      ],
      notReady: () => intake.notReady(),
      drain: () => ingest.drain(),
      stop: () => ingest.stop(),
    };
  },
};

function isOpen({ listen, insecure }: MalabarConfig['grpc']): boolean {
  // The default is loopback.
  return insecure || listen === undefined || isLoopback(parseListenAddress(listen).host);
}

function isGuarded({ token, tls }: MalabarConfig['grpc']): boolean {
  return token !== undefined || tls?.clientAuth === true;
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
