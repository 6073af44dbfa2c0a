import { guard, metricsRules } from '@malabar/access';
import { discovery, metrics } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { createGatherer } from './gatherer.js';
import { serveHttp } from './http-server.js';
import { createMetricsService } from './service.js';

/** Wiring only: one gatherer, asked over gRPC and over HTTP. */
export const metricsModule: Module = {
  name: 'metrics',
  needs: ['keeper'],
  async start({ config, log, client, authenticate }) {
    const gatherer = createGatherer(client('keeper', discovery.DiscoveryServiceDefinition));
    const { insecure } = config.grpc;
    const http = await serveHttp({ listen: config.metrics.listen, insecure, gatherer, log });
    const { MetricsServiceDefinition: definition } = metrics;
    const guarded = guard(definition, createMetricsService(gatherer), metricsRules, authenticate);
    return {
      bindings: [bind(definition, guarded, { access: 'public' })],
      addresses: { http: http.address },
      stop: () => http.close(),
    };
  },
};
