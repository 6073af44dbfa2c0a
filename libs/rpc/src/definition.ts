/** A message codec as ts-proto generates it. */
export interface MessageCodec {
  // biome-ignore lint/suspicious/noExplicitAny: the one place where the message's type is not known.
  encode(message: any): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}

/** A method of a ts-proto generic definition. */
export interface MethodDefinition {
  readonly name: string;
  readonly requestType: MessageCodec;
  readonly requestStream: boolean;
  readonly responseType: MessageCodec;
  readonly responseStream: boolean;
}

/** A service as ts-proto describes it with `outputServices=generic-definitions`. */
export interface ServiceDefinition {
  readonly name: string;
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition>>;
}

/** What an implementation knows about a call. */
export interface CallContext {
  /**
   * Aborted when nobody waits for the answer any more: cancelled, past its deadline, connection
   * lost, server stopping. Not aborted by a normal end.
   */
  readonly signal: AbortSignal;
  /** Keys in lower case. Binary values (`-bin` keys) are left out. */
  readonly metadata: ReadonlyMap<string, string>;
  /** `ip:port` of the caller, or `local`. */
  readonly peer: string;
  /** The caller has shown the bus's token, or the server asks for none: it is one of ours. */
  readonly trusted: boolean;
  /** Unix milliseconds; undefined if the caller set no deadline. */
  readonly deadlineAtMs?: number;
}

/** What a caller may say about a call. */
export interface CallOptions {
  /** Cancels the call; the caller gets UNAVAILABLE with the signal's reason as cause. */
  signal?: AbortSignal;
  /**
   * Default 30 s where one message is answered by one; none where a side is a stream. Infinity for
   * none. Past it the caller gets TIMEOUT.
   */
  timeoutMs?: number;
  metadata?: Record<string, string>;
}

type Decoded<C> = C extends { decode(...input: never[]): infer M } ? M : never;
type Incoming<M extends MethodDefinition> = M['requestStream'] extends true
  ? AsyncIterable<Decoded<M['requestType']>>
  : Decoded<M['requestType']>;
type Outgoing<M extends MethodDefinition> = M['responseStream'] extends true
  ? AsyncIterable<Decoded<M['responseType']>>
  : Promise<Decoded<M['responseType']>>;

/**
 * A service's methods. Throw a BusError and the caller gets the same one. When a call ends before
 * its request stream does, reading on from that stream throws. The end of the requests is no
 * promise that the caller has said everything: Node's HTTP/2 ends a stream before it resets it, so
 * over gRPC a call that was cut may end first and abort its signal a moment later.
 */
export type Implementation<D extends ServiceDefinition> = {
  readonly [K in keyof D['methods']]: (
    request: Incoming<D['methods'][K]>,
    context: CallContext,
  ) => Outgoing<D['methods'][K]>;
};

/**
 * A service to call, here or elsewhere: the same in both cases. Throws BusErrors only. A call that
 * answers with a stream begins when the stream is first read; leaving the loop cancels it.
 * Messages are shared with the implementation when it is in this process: do not change one that
 * you have sent or received.
 */
export type Client<D extends ServiceDefinition> = {
  readonly [K in keyof D['methods']]: (
    request: Incoming<D['methods'][K]>,
    options?: CallOptions,
  ) => Outgoing<D['methods'][K]>;
};

/** A method without its message types, as the machinery of this library sees it. */
export type AnyMethod = (request: unknown, context: CallContext) => unknown;

/** `malabar.storage.v1.StorageService/Append`, for messages to people. */
export function methodPath(definition: ServiceDefinition, method: MethodDefinition): string {
  return `${definition.fullName}/${method.name}`;
}

/** Deadline where the caller names none, milliseconds. Streams have none. */
export function defaultTimeoutMs(method: MethodDefinition): number {
  return method.requestStream || method.responseStream ? Number.POSITIVE_INFINITY : 30_000;
}
