import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { metrics } from '@malabar/contracts';
import {
  BusError,
  formatListenAddress,
  isLoopback,
  parseListenAddress,
  toBusError,
} from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { type Figures, federate } from './exposition.js';
import type { Gatherer } from './gatherer.js';

export interface HttpOptions {
  /** host:port; port 0 lets the system choose. */
  listen: string;
  /** Allows a listener that others can reach. */
  insecure: boolean;
  gatherer: Gatherer;
  log: Logger;
}

/** The HTTP server that Prometheus scrapes for the whole bus. */
export interface HttpServer {
  /** host:port, with the port that was chosen. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`: the figures of all processes in one text. Throws INVALID for an address that
 * others can reach, unless `insecure`, and UNAVAILABLE if the address is taken.
 */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const { listen, log } = options;
  const { host, port } = parseListenAddress(listen);
  assertGuarded(host, options);
  const server = createServer((request, response) => {
    answer(options, request, response).catch((thrown) => {
      const { message } = toBusError(thrown);
      log.warn({ reason: message }, 'cannot gather the figures');
      response.writeHead(503, { 'content-type': 'text/plain' }).end(`${message}\n`);
    });
  });
  await listening(server, host, port, listen);
  const address = formatListenAddress({ host, port: (server.address() as AddressInfo).port });
  return { address, close: () => closed(server) };
}

function assertGuarded(host: string, { listen, insecure, log }: HttpOptions): void {
  if (isLoopback(host)) return;
  const reason = `metrics HTTP on ${listen} can be read by others without authentication`;
  if (!insecure)
    throw new BusError('INVALID', `${reason}: listen on loopback or set grpc.insecure`);
  log.warn({ listen }, `${reason} (insecure: true)`);
}

async function answer(
  { gatherer, log }: HttpOptions,
  { url, method }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (url?.split('?')[0] !== '/metrics' || (method !== 'GET' && method !== 'HEAD')) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('there is GET /metrics\n');
    return;
  }
  const processes = await gatherer.gather();
  for (const { instanceId, error } of processes) {
    if (error !== '') log.warn({ instance: instanceId, reason: error }, 'a process has no figures');
  }
  const text = federate(processes.map(toFigures));
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
}

/** With one figure of our own: a process that is silent must not merely be missing. */
function toFigures({ instanceId, text, error }: metrics.ProcessFigures): Figures {
  const answers = error === '' ? 1 : 0;
  const own = `# HELP malabar_metrics_answering_processes 1 if the process gave its figures
# TYPE malabar_metrics_answering_processes gauge
malabar_metrics_answering_processes ${answers}`;
  return { instance: instanceId, text: `${own}\n${text}` };
}

function listening(server: Server, host: string, port: number, listen: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const why = code ?? message;
      reject(new BusError('UNAVAILABLE', `metrics HTTP cannot listen on ${listen}: ${why}`));
    });
    server.listen(port, host, resolve);
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
