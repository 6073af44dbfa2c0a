import {
  logVerbosity,
  type Metadata,
  Server,
  type ServerCredentials,
  setLogVerbosity,
} from '@grpc/grpc-js';
import {
  BusError,
  type Clock,
  formatListenAddress,
  isLoopback,
  parseListenAddress,
  sleep,
  systemClock,
  toBusError,
} from '@malabar/core';
import { HealthImplementation } from 'grpc-health-check';
import type { Binding } from './binding.js';
import type { Call } from './call.js';
import {
  checkToken,
  serverCredentials,
  showsToken,
  type TlsOptions,
  type Token,
} from './credentials.js';
import { type HandledCall, type HandlerEnvironment, toGrpcService } from './handlers.js';
import { CONNECTION_OPTIONS } from './limits.js';
import { addReflection } from './reflection.js';
import { toStatus } from './status.js';

/** The part of a logger that a server uses. */
export interface RpcLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Who counts the calls of a server. */
export interface RpcMetrics {
  handled(call: HandledCall): void;
}

export interface ServeOptions {
  /** host:port; port 0 lets the system choose. */
  listen: string;
  bindings: readonly Binding[];
  tls?: TlsOptions;
  /** Callers of internal services must send it as `authorization: Bearer <token>`. */
  token?: Token;
  /** Allows a listener that others can reach without tls.clientAuth or token. */
  insecure?: boolean;
  log: RpcLog;
  metrics?: RpcMetrics;
  /** A serialised FileDescriptorSet of the services, for reflection; none without it. */
  descriptors?: Uint8Array;
  clock?: Clock;
}

/** A gRPC server that listens. */
export interface RpcServer {
  /** host:port, with the port that was chosen. */
  readonly address: string;
  /**
   * Says NOT_SERVING and takes no new calls; waits at most `graceMs` for those under way, then cuts
   * them with UNAVAILABLE. Resolves when nothing listens any more. May be called twice.
   */
  drain(graceMs: number): Promise<void>;
  /** Drains without grace. */
  close(): Promise<void>;
}

/**
 * Serves bindings over gRPC, with health checking and reflection. Throws INVALID for an address
 * that others can reach without authentication, UNAVAILABLE if the address is taken.
 */
export async function serve(options: ServeOptions): Promise<RpcServer> {
  const { clock = systemClock, bindings, log } = options;
  assertGuarded(options);
  // What grpc-js would print beside our log reaches us as errors.
  setLogVerbosity(logVerbosity.NONE);
  const calls = new Set<Call>();
  const server = new Server({ ...CONNECTION_OPTIONS });
  const environment = createEnvironment(options, calls, clock);
  for (const binding of bindings) {
    const { definition, implementation } = toGrpcService(binding, environment);
    server.addService(definition, implementation);
  }
  const health = createHealth(bindings);
  health.addToServer(server);
  addReflectionTo(server, options);
  const port = await bindTo(server, options.listen, serverCredentials(options.tls));
  const address = formatListenAddress({ ...parseListenAddress(options.listen), port });
  log.info(
    { address, services: bindings.map(({ definition }) => definition.name) },
    'gRPC listens',
  );
  return createHandle({ address, server, health, calls, clock, bindings });
}

/** Refuses a listener that anybody can reach, or warns about it where the user wants it so. */
function assertGuarded({ listen, tls, token, insecure = false, log }: ServeOptions): void {
  if (isLoopback(parseListenAddress(listen).host) || tls?.clientAuth || token) return;
  const reason = `gRPC on ${listen} can be reached by others without authentication`;
  if (!insecure) {
    const remedy = 'set grpc.tls.clientAuth, grpc.token or grpc.insecure';
    throw new BusError('INVALID', `${reason}: ${remedy}`);
  }
  log.warn({ listen }, `${reason} (insecure: true)`);
}

function createEnvironment(
  { token, log, metrics }: ServeOptions,
  calls: Set<Call>,
  clock: Clock,
): HandlerEnvironment {
  return {
    clock,
    calls,
    trusts: (metadata) => token === undefined || showsToken(token, metadata),
    authorize(binding, metadata) {
      if (token && binding.access === 'internal') checkToken(token, metadata);
    },
    onHandled: (call) => metrics?.handled(call),
    onDefect: (path, error) =>
      log.error({ err: error.cause ?? error, method: path }, 'call failed'),
  };
}

function createHealth(bindings: readonly Binding[]): HealthImplementation {
  return new HealthImplementation(statusOfAll(bindings, 'SERVING'));
}

function statusOfAll<S>(bindings: readonly Binding[], status: S): Record<string, S> {
  const names = ['', ...bindings.map(({ definition }) => definition.fullName)];
  return Object.fromEntries(names.map((name) => [name, status]));
}

function addReflectionTo(server: Server, { descriptors, bindings, token }: ServeOptions): void {
  if (descriptors === undefined) return;
  addReflection(server, {
    descriptors,
    services: bindings.map(({ definition }) => definition.fullName),
    guard({ metadata }: { metadata: Metadata }) {
      try {
        if (token) checkToken(token, metadata);
        return undefined;
      } catch (error) {
        return toStatus(toBusError(error));
      }
    },
  });
}

function bindTo(server: Server, listen: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, credentials, (error, port) => {
      if (error === null) return resolve(port);
      server.forceShutdown();
      reject(new BusError('UNAVAILABLE', `gRPC cannot listen on ${listen}: ${error.message}`));
    });
  });
}

interface Handle {
  address: string;
  server: Server;
  health: HealthImplementation;
  calls: Set<Call>;
  clock: Clock;
  bindings: readonly Binding[];
}

function createHandle(handle: Handle): RpcServer {
  let closed: Promise<void> | undefined;
  const drain = (graceMs: number): Promise<void> => {
    closed ??= shutDown(handle, graceMs);
    return closed;
  };
  return { address: handle.address, drain, close: () => drain(0) };
}

async function shutDown(
  { server, health, calls, clock, bindings, address }: Handle,
  graceMs: number,
): Promise<void> {
  for (const name of Object.keys(statusOfAll(bindings, ''))) health.setStatus(name, 'NOT_SERVING');
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const over = new AbortController();
  await Promise.race([ended, sleep(clock, graceMs, over.signal)]);
  over.abort();
  const reason = new BusError('UNAVAILABLE', `the server at ${address} stops`);
  for (const call of calls) call.cancel(reason);
  // The statuses of the calls that were cut go out before their connections are.
  if (calls.size > 0) await new Promise((resolve) => setImmediate(resolve));
  server.forceShutdown();
  await ended;
}
