import {
  type ClientDuplexStream,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { BusError, systemClock, toBusError } from '@malabar/core';
import { Call, cancelledByCaller, onAbort } from './call.js';
import { bearer, type TlsOptions, type Token } from './credentials.js';
import {
  type CallOptions,
  type Client,
  defaultTimeoutMs,
  type MethodDefinition,
  methodPath,
  type ServiceDefinition,
} from './definition.js';
import { toGrpcMethod } from './handlers.js';
import { type AddressSource, type Connection, Link } from './link.js';
import { pump } from './pump.js';
import { Received } from './received.js';
import { fromStatus } from './status.js';

export interface ConnectOptions {
  /**
   * `host:port`; `malabar:///<service>` after `registerScheme`; a function that finds the addresses:
   * it is asked again after UNAVAILABLE, and the next call goes to another of its addresses; or a
   * service of a directory, whose instances share the calls.
   */
  address: AddressSource;
  /** TLS if given: whom to trust and, for mTLS, what to show. */
  tls?: TlsOptions;
  /** Sent with every call as `authorization: Bearer <token>`, unless the call's metadata has its own. */
  token?: Token;
  /** A TCP connection of its own; otherwise all clients of one address share theirs. */
  ownConnection?: boolean;
  /**
   * Whether gRPC may call again by itself where a server that stops has not looked at the call;
   * default true. Who connects anew anyway saves a tenth of what each message costs.
   */
  retries?: boolean;
}

/** A client over gRPC. Connects at the first call, reconnects by itself. */
export type RemoteClient<D extends ServiceDefinition> = Client<D> & {
  /** Cuts the calls under way and closes the connections. */
  close(): void;
};

/** One method of a remote service, ready to be called. */
interface RemoteMethod {
  path: string;
  method: MethodDefinition;
  grpc: ReturnType<typeof toGrpcMethod>;
  link: Link;
  token: Token | undefined;
  calls: Set<Call>;
}

type AnyStream = ClientDuplexStream<unknown, unknown>;

/** Opens nothing yet: a service that is away is an error of the calls, not of `connect`. */
export function connect<D extends ServiceDefinition>(
  definition: D,
  { address, token, ...settings }: ConnectOptions,
): RemoteClient<D> {
  const link = new Link({ source: address, ...settings, what: definition.fullName });
  const calls = new Set<Call>();
  const client: Record<string, unknown> = {};
  for (const [key, method] of Object.entries(definition.methods)) {
    const path = methodPath(definition, method);
    const target = { path, method, grpc: toGrpcMethod(path, method), link, token, calls };
    client[key] = (request: unknown, options: CallOptions = {}) =>
      method.responseStream ? respond(target, request, options) : answer(target, request, options);
  }
  client.close = () => {
    link.close();
    const reason = new BusError('UNAVAILABLE', `the client of ${definition.fullName} is closed`);
    for (const call of calls) call.cancel(reason);
  };
  return client as RemoteClient<D>;
}

/** One message is the answer. */
function answer(target: RemoteMethod, request: unknown, options: CallOptions): Promise<unknown> {
  const call = open(target, options);
  return new Promise((resolve, reject) => {
    call.whenOver((error) => error && reject(error));
    onConnection(target, call, (connection) => {
      const stream = startAnswer(target, connection, request, options, (error, response) => {
        if (error) reject(arrived(target, connection, error));
        else resolve(response);
        call.finish();
      });
      call.whenOver((error) => error && stream.cancel());
      if (target.method.requestStream) send(request, stream, call);
    });
  });
}

function startAnswer(
  target: RemoteMethod,
  { client }: Connection,
  request: unknown,
  options: CallOptions,
  callback: (error: ServiceError | null, response?: unknown) => void,
): AnyStream {
  const { path, requestSerialize, responseDeserialize } = target.grpc;
  const metadata = metadataOf(target, options);
  const settings = settingsOf(target, options);
  const codecs = [requestSerialize, responseDeserialize] as const;
  const stream = target.method.requestStream
    ? client.makeClientStreamRequest(path, ...codecs, metadata, settings, callback)
    : client.makeUnaryRequest(path, ...codecs, request, metadata, settings, callback);
  return stream as AnyStream;
}

/** A stream is the answer. */
function respond(
  target: RemoteMethod,
  request: unknown,
  options: CallOptions,
): AsyncIterable<unknown> {
  let call: Call | undefined;
  const responses = new Received<unknown>({
    onStart() {
      const opened = open(target, options);
      call = opened;
      opened.whenOver((error) => error && responses.fail(error));
      onConnection(target, opened, (connection) => {
        const stream = startResponses(target, connection, request, options);
        responses.attach(stream);
        stream.on('error', (error: ServiceError) => {
          responses.finish(arrived(target, connection, error));
        });
        stream.on('status', () => opened.finish());
        opened.whenOver((error) => error && stream.cancel());
        if (target.method.requestStream) send(request, stream, opened);
      });
    },
    onLeft: () => call?.cancel(cancelledByCaller(target.path)),
  });
  return responses;
}

function startResponses(
  target: RemoteMethod,
  { client }: Connection,
  request: unknown,
  options: CallOptions,
): AnyStream {
  const { path, requestSerialize, responseDeserialize } = target.grpc;
  const metadata = metadataOf(target, options);
  const settings = settingsOf(target, options);
  const codecs = [requestSerialize, responseDeserialize] as const;
  const stream = target.method.requestStream
    ? client.makeBidiStreamRequest(path, ...codecs, metadata, settings)
    : client.makeServerStreamRequest(path, ...codecs, request, metadata, settings);
  return stream as AnyStream;
}

function open({ path, calls }: RemoteMethod, { signal }: CallOptions): Call {
  const call = new Call({
    metadata: NO_METADATA,
    peer: 'local',
    trusted: true,
    deadlineAtMs: undefined,
  });
  calls.add(call);
  call.whenOver(() => calls.delete(call));
  call.whenOver(onAbort(signal, () => call.cancel(cancelledByCaller(path, signal?.reason))));
  return call;
}

const NO_METADATA: ReadonlyMap<string, string> = new Map();

/** Uses the link's connection, now or once its address is found, unless the call is over by then. */
function onConnection(
  { link }: RemoteMethod,
  call: Call,
  use: (connection: Connection) => void,
): void {
  const fail = (thrown: unknown): void => call.cancel(toBusError(thrown));
  try {
    if (call.over) return;
    const connection = link.get();
    if (connection instanceof Promise) {
      connection.then((found) => call.over || use(found)).catch(fail);
    } else use(connection);
  } catch (thrown) {
    fail(thrown);
  }
}

function send(requests: unknown, stream: AnyStream, call: Call): void {
  pump(requests as AsyncIterable<unknown>, stream, call).then(
    () => call.over || stream.end(),
    (thrown) => call.cancel(toBusError(thrown)),
  );
}

function arrived({ link, path }: RemoteMethod, connection: Connection, thrown: ServiceError) {
  const error = fromStatus(thrown, path, connection.address);
  if (error.code === 'UNAVAILABLE') link.failed(connection);
  return error;
}

function metadataOf({ token }: RemoteMethod, options: CallOptions): Metadata {
  const metadata = new Metadata();
  const entries = { ...(token && bearer(token)), ...options.metadata };
  for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
  return metadata;
}

function settingsOf({ method }: RemoteMethod, options: CallOptions): GrpcCallOptions {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs(method);
  // gRPC measures deadlines by the machine's clock.
  return Number.isFinite(timeoutMs) ? { deadline: systemClock.now() + timeoutMs } : {};
}
