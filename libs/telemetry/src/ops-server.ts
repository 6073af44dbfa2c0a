import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics.js';

export interface OpsOptions {
  /** `host:port`; port 0 for any free one. */
  listen: string;
  metrics: Metrics;
  log: Logger;
  /** Why the process is not ready; empty when it is. */
  notReady: () => string[];
}

export interface OpsServer {
  /** `host:port` that it really listens on. */
  address: string;
  close(): Promise<void>;
}

/** `/metrics` for Prometheus, `/healthz` (the process runs) and `/readyz` (it can serve) for orchestrators. */
export async function serveOps(options: OpsOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((err) => {
      options.log.error({ err }, 'the ops endpoint failed');
      response.destroy();
    });
  });
  const [host, port] = splitAddress(options.listen);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    close: () => closeServer(server),
  };
}

async function answer(
  { metrics, notReady }: OpsOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?')[0];
  if (path === '/metrics') {
    response.setHeader('Content-Type', metrics.registry.contentType);
    response.end(await metrics.registry.metrics());
  } else if (path === '/healthz') json(response, 200, { status: 'ok' });
  else if (path === '/readyz') {
    const reasons = notReady();
    json(response, reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
  } else json(response, 404, { error: 'there are /metrics, /healthz and /readyz' });
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function splitAddress(listen: string): [host: string, port: number] {
  const at = listen.lastIndexOf(':');
  return [listen.slice(0, at).replace(/^\[|\]$/g, ''), Number(listen.slice(at + 1))];
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
