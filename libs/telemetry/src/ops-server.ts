import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BusError, formatListenAddress, isLoopback, parseListenAddress } from '@malabar/core';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics.js';

export interface OpsOptions {
  /** `host:port`; port 0 for any free one. */
  listen: string;
  metrics: Metrics;
  log: Logger;
  /** Allows a listener that others can reach: the endpoint has no password. */
  insecure?: boolean;
  /** Why the process is not ready; empty when it is. */
  notReady: () => string[];
  /** More for people to know; a part of the answer of /readyz. */
  about?: () => Record<string, unknown>;
}

export interface OpsServer {
  /** `host:port` that it really listens on. */
  address: string;
  close(): Promise<void>;
}

/**
 * `/metrics` for Prometheus, `/healthz` (the process runs) and `/readyz` (it can serve) for
 * orchestrators. Throws INVALID for an address that others can reach, unless `insecure`, and
 * UNAVAILABLE if the address is taken.
 */
export async function serveOps(options: OpsOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((err) => {
      options.log.error({ err }, 'the ops endpoint failed');
      response.destroy();
    });
  });
  const { host, port } = parseListenAddress(options.listen);
  assertGuarded(host, options);
  await listening(server, host, port);
  const bound = server.address() as AddressInfo;
  return {
    address: formatListenAddress({ host, port: bound.port }),
    close: () => closeServer(server),
  };
}

async function answer(
  { metrics, notReady, about }: OpsOptions,
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
    const ready = reasons.length === 0;
    json(response, ready ? 200 : 503, { ready, reasons, ...about?.() });
  } else json(response, 404, { error: 'there are /metrics, /healthz and /readyz' });
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function assertGuarded(host: string, { listen, insecure = false, log }: OpsOptions): void {
  if (isLoopback(host)) return;
  const reason = `ops HTTP on ${listen} can be read by others without authentication`;
  if (!insecure) throw new BusError('INVALID', `${reason}: listen on loopback or set insecure`);
  log.warn({ listen }, `${reason} (insecure: true)`);
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const where = formatListenAddress({ host, port });
      reject(new BusError('UNAVAILABLE', `ops HTTP cannot listen on ${where}: ${code ?? message}`));
    });
    server.listen(port, host, resolve);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
