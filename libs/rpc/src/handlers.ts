import type { EventEmitter } from 'node:events';
import {
  type ServiceDefinition as GrpcServiceDefinition,
  type handleUnaryCall,
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type BusError, type Clock, toBusError } from '@malabar/core';
import type { Binding } from './binding.js';
import { Call, callEnded, cancelledByCaller, pastDeadline } from './call.js';
import { type AnyMethod, type MethodDefinition, methodPath } from './definition.js';
import { pump } from './pump.js';
import { Received } from './received.js';
import { statusName, toStatus } from './status.js';

type AnyServerCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/** A call that a server has answered, for its metrics. */
export interface HandledCall {
  /** Full name of the service. */
  service: string;
  method: string;
  type: 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream';
  /** gRPC's name of the status, e.g. OK or RESOURCE_EXHAUSTED. */
  status: string;
  durationMs: number;
}

/** What the handlers of one server share. */
export interface HandlerEnvironment {
  clock: Clock;
  /** Throws for a caller that may not call. */
  authorize(binding: Binding, metadata: Metadata): void;
  /** The caller has shown the bus's token, or none is asked for. */
  trusts(metadata: Metadata): boolean;
  /** Every call under way. */
  calls: Set<Call>;
  onHandled(call: HandledCall): void;
  /** An implementation threw what is not a BusError. */
  onDefect(path: string, error: BusError): void;
}

/** A method and all that its handler needs. */
interface Route {
  path: string;
  type: HandledCall['type'];
  binding: Binding;
  method: MethodDefinition;
  run: AnyMethod;
  environment: HandlerEnvironment;
}

/** A binding in the form in which grpc-js serves it. */
export function toGrpcService(
  binding: Binding,
  environment: HandlerEnvironment,
): { definition: GrpcServiceDefinition; implementation: UntypedServiceImplementation } {
  const definition: Record<string, ReturnType<typeof toGrpcMethod>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [key, method] of Object.entries(binding.definition.methods)) {
    const path = methodPath(binding.definition, method);
    definition[method.name] = toGrpcMethod(path, method);
    const run = binding.methods[key];
    // A method without an implementation is answered UNIMPLEMENTED by grpc-js.
    if (run === undefined) continue;
    const type = callType(method);
    implementation[method.name] = toHandler({ path, type, binding, method, run, environment });
  }
  return { definition, implementation };
}

/** A method's path and codecs in the form in which grpc-js takes them. */
export function toGrpcMethod(path: string, method: MethodDefinition) {
  return {
    path: `/${path}`,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: serializer(method.requestType),
    requestDeserialize: (bytes: Buffer) => method.requestType.decode(bytes),
    responseSerialize: serializer(method.responseType),
    responseDeserialize: (bytes: Buffer) => method.responseType.decode(bytes),
  };
}

function serializer({ encode }: MethodDefinition['requestType']): (message: unknown) => Buffer {
  return (message) => {
    const bytes = encode(message).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function callType({ requestStream, responseStream }: MethodDefinition): HandledCall['type'] {
  if (requestStream) return responseStream ? 'bidi_stream' : 'client_stream';
  return responseStream ? 'server_stream' : 'unary';
}

function toHandler(route: Route): UntypedServiceImplementation[string] {
  if (route.method.responseStream) {
    return (stream: ServerWritableStream<unknown, unknown>) => respond(route, stream);
  }
  const handle: handleUnaryCall<unknown, unknown> = (stream, callback) =>
    answer(route, stream, callback);
  return handle;
}

/** A call under way at this server. */
interface Served {
  call: Call;
  /** The implementation has answered. */
  close(): void;
  /** The implementation has thrown; returns what the caller gets. */
  fail(thrown: unknown): BusError;
}

/** One message is the answer. */
function answer(
  route: Route,
  stream: ServerUnaryCall<unknown, unknown> | ServerReadableStream<unknown, unknown>,
  callback: sendUnaryData<unknown>,
): void {
  const { call, close, fail } = open(route, stream);
  call.whenOver((error) => error && callback(toStatus(error)));
  run(route, stream, call).then(
    (response) => {
      if (call.over) return;
      close();
      callback(null, response);
    },
    (thrown) => {
      if (!call.over) callback(toStatus(fail(thrown)));
    },
  );
}

/** A stream is the answer. */
function respond(
  route: Route,
  stream: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
): void {
  const { call, close, fail } = open(route, stream);
  call.whenOver((error) => error && stream.emit('error', toStatus(error)));
  // The caller hears at once that it is served, not only with the first message.
  stream.sendMetadata(new Metadata());
  run(route, stream, call)
    .then((responses) => pump(responses as AsyncIterable<unknown>, stream, call))
    .then(
      () => {
        if (call.over) return;
        close();
        stream.end();
      },
      (thrown) => {
        if (!call.over) stream.emit('error', toStatus(fail(thrown)));
      },
    );
}

// Asynchronous so that what is thrown at once is handled like what is thrown later.
async function run(route: Route, stream: AnyServerCall, call: Call): Promise<unknown> {
  const { binding, method, path, environment } = route;
  environment.authorize(binding, stream.metadata);
  if (!method.requestStream) {
    return route.run((stream as ServerUnaryCall<unknown, unknown>).request, call);
  }
  const requests = new Received<unknown>();
  requests.attach(stream as ServerReadableStream<unknown, unknown>);
  call.whenOver((error) => requests.fail(error ?? callEnded(path)));
  return route.run(requests, call);
}

function open(route: Route, stream: AnyServerCall): Served {
  const { path, environment } = route;
  const { clock, calls } = environment;
  const startedAtMs = clock.now();
  const call = new Call({
    metadata: toMap(stream.metadata),
    peer: stream.getPeer(),
    trusted: environment.trusts(stream.metadata),
    deadlineAtMs: toUnixMs(stream.getDeadline()),
  });
  const handled = (error?: BusError): void =>
    environment.onHandled({
      service: route.binding.definition.fullName,
      method: route.method.name,
      type: route.type,
      status: statusName(error),
      durationMs: clock.now() - startedAtMs,
    });
  calls.add(call);
  call.whenOver((error) => {
    calls.delete(call);
    if (error) handled(error);
  });
  // Comes after a normal end too, when the call is over already.
  (stream as EventEmitter).on('cancelled', () => call.cancel(cutReason(path, call, clock)));
  return {
    call,
    close() {
      call.finish();
      handled();
    },
    fail(thrown) {
      const error = toBusError(thrown);
      call.finish();
      handled(error);
      if (error !== thrown) environment.onDefect(path, error);
      return error;
    },
  };
}

function cutReason(path: string, { deadlineAtMs }: Call, clock: Clock): BusError {
  // A timer may fire a moment before its time.
  const late = deadlineAtMs !== undefined && clock.now() >= deadlineAtMs - 2;
  return late ? pastDeadline(path) : cancelledByCaller(path);
}

function toUnixMs(deadline: Date | number): number | undefined {
  const atMs = Number(deadline);
  return Number.isFinite(atMs) ? atMs : undefined;
}

function toMap(metadata: Metadata): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata.getMap())) {
    if (typeof value === 'string') map.set(key, value);
  }
  return map;
}
