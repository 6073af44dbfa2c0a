import { createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { formatListenAddress, parseListenAddress } from '@malabar/core';
import type { IngestMetrics, Protocol } from './metrics.js';

/** The connections of all listeners together. */
export interface ConnectionLimit {
  open: number;
  max: number;
}

export interface ListenerOptions {
  listen: string;
  protocol: Protocol;
  tls?: TlsOptions;
  limit: ConnectionLimit;
  metrics: IngestMetrics;
  /** Told to a client that is one too many. */
  fullText: string;
  onSocket(socket: Socket): void;
}

export interface Listener {
  /** `host:port`, with the port that the system chose if 0 was asked for. */
  address: string;
  /** Takes no new connection; the open ones stay. */
  close(): Promise<void>;
}

/** Listens for raw sockets, with or without TLS, within the limit of connections. */
export async function listenForSockets(options: ListenerOptions): Promise<Listener> {
  const { tls } = options;
  const settings = { allowHalfOpen: true, noDelay: true };
  const server: Server = tls
    ? createTlsServer({ ...settings, ...tls })
    : createPlainServer(settings);
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (admit(socket, options)) options.onSocket(socket);
  });
  // A failed handshake concerns only its client.
  server.on('tlsClientError', () => {});
  return listen(server, options.listen);
}

/** Counts the connection; one too many is told so and closed. */
export function admit(
  socket: Socket,
  options: Pick<ListenerOptions, 'limit' | 'metrics' | 'protocol' | 'fullText'>,
): boolean {
  const { limit, metrics, protocol, fullText } = options;
  if (limit.open >= limit.max) {
    metrics.connectionRefused(protocol);
    socket.on('error', () => {});
    socket.end(fullText);
    socket.destroySoon();
    return false;
  }
  limit.open++;
  metrics.connections(protocol, 1);
  socket.once('close', () => {
    limit.open--;
    metrics.connections(protocol, -1);
  });
  return true;
}

/** Starts a server on `host:port`; rejects if the address cannot be had. */
export async function listen(server: Server, address: string): Promise<Listener> {
  const { host, port } = parseListenAddress(address);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Thousands of producers may reconnect in the same moment.
    server.listen({ host, port, backlog: 4096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const bound = server.address();
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
  return {
    address: formatListenAddress({ host, port: actual }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
