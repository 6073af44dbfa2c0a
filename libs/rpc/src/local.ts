import { BusError, type Clock, systemClock, toBusError } from '@malabar/core';
import type { Binding } from './binding.js';
import { Call, callEnded, cancelledByCaller, onAbort, pastDeadline } from './call.js';
import {
  type AnyMethod,
  type CallOptions,
  type Client,
  defaultTimeoutMs,
  type MethodDefinition,
  methodPath,
  type ServiceDefinition,
} from './definition.js';
import { Guarded } from './guarded.js';

/** One method of a binding, ready to be called. */
interface LocalMethod {
  path: string;
  method: MethodDefinition;
  run: AnyMethod;
  clock: Clock;
}

type AnyClientMethod = (request: unknown, options?: CallOptions) => unknown;

/**
 * Calls a binding of this process directly: no sockets, no serialisation, the same rules as over
 * gRPC (deadlines, cancellation in both directions, BusErrors only).
 */
export function local<D extends ServiceDefinition>(
  binding: Binding,
  { clock = systemClock }: { clock?: Clock } = {},
): Client<D> {
  const client: Record<string, AnyClientMethod> = {};
  for (const [key, method] of Object.entries(binding.definition.methods)) {
    const path = methodPath(binding.definition, method);
    const run = binding.methods[key] ?? unimplemented(path);
    const target = { path, method, run, clock };
    client[key] = (request, options = {}) =>
      method.responseStream ? respond(target, request, options) : answer(target, request, options);
  }
  return client as Client<D>;
}

function unimplemented(path: string): AnyMethod {
  return () => {
    throw new BusError('UNSUPPORTED', `${path} is not implemented here`);
  };
}

/** One message is the answer. */
function answer(target: LocalMethod, request: unknown, options: CallOptions): Promise<unknown> {
  const call = open(target, options);
  return new Promise((resolve, reject) => {
    call.whenOver((error) => error && reject(error));
    if (call.over) return;
    run(target, incoming(target, request, call), call).then(resolve, (thrown) => {
      reject(toBusError(thrown));
    });
  }).finally(() => call.finish());
}

async function run(target: LocalMethod, request: unknown, call: Call): Promise<unknown> {
  return target.run(request, call);
}

/** A stream is the answer. */
function respond(
  target: LocalMethod,
  request: unknown,
  options: CallOptions,
): AsyncIterable<unknown> {
  let call: Call | undefined;
  const responses = new Guarded<unknown>({
    open() {
      call = open(target, options);
      call.throwIfCut();
      const stream = target.run(incoming(target, request, call), call) as AsyncIterable<unknown>;
      const iterator = stream[Symbol.asyncIterator]();
      call.whenOver((error) => error && responses.fail(error));
      return iterator;
    },
    onOver(how) {
      if (how === 'left') call?.cancel(cancelledByCaller(target.path));
      else call?.finish();
    },
    mapError: toBusError,
  });
  return responses;
}

/** The request as the implementation gets it: a stream of requests ends with the call. */
function incoming({ method, path }: LocalMethod, request: unknown, call: Call): unknown {
  if (!method.requestStream) return request;
  const requests = new Guarded<unknown>({
    open: () => (request as AsyncIterable<unknown>)[Symbol.asyncIterator](),
  });
  call.whenOver((error) => requests.fail(error ?? callEnded(path)));
  return requests;
}

function open({ path, method, clock }: LocalMethod, options: CallOptions): Call {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs(method);
  const limited = Number.isFinite(timeoutMs);
  const call = new Call({
    metadata: metadataOf(options),
    peer: 'local',
    trusted: true,
    deadlineAtMs: limited ? clock.now() + timeoutMs : undefined,
  });
  const { signal } = options;
  if (limited) {
    call.whenOver(clock.after(timeoutMs, () => call.cancel(pastDeadline(path))));
  }
  call.whenOver(onAbort(signal, () => call.cancel(cancelledByCaller(path, signal?.reason))));
  return call;
}

const NO_METADATA: ReadonlyMap<string, string> = new Map();

function metadataOf({ metadata }: CallOptions): ReadonlyMap<string, string> {
  if (metadata === undefined) return NO_METADATA;
  return new Map(Object.entries(metadata).map(([key, value]) => [key.toLowerCase(), value]));
}
