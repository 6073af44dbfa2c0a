import { keeper, metrics } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { createGatherer } from './gatherer.js';
import { serveHttp } from './http-server.js';
import { createMetricsService } from './service.js';

/** Wiring only: one gatherer, asked over gRPC and over HTTP. */
export const metricsModule: Module = {
  name: 'metrics',
  needs: ['keeper'],
  async start({ config, log, client }) {
    const gatherer = createGatherer(client('keeper', keeper.KeeperServiceDefinition));
    const { insecure } = config.grpc;
    const http = await serveHttp({ listen: config.metrics.listen, insecure, gatherer, log });
    return {
      bindings: [bind(metrics.MetricsServiceDefinition, createMetricsService(gatherer))],
      addresses: { http: http.address },
      stop: () => http.close(),
    };
  },
};
