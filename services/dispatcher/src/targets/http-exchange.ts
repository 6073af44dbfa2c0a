import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '@malabar/core';
import { type Dispatcher, Pool } from 'undici';

export interface HttpRequest {
  headers: Record<string, string>;
  body: Uint8Array;
  /** For the whole exchange, waiting for a connection included. */
  timeoutMs: number;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * How an exchange ended without a whole answer. Only `not-delivered` proves that the consumer did
 * not run.
 */
export class HttpFailure extends Error {
  constructor(
    readonly kind: 'not-delivered' | 'crashed' | 'timeout' | 'too-large',
    message: string,
  ) {
    super(message);
  }
}

export interface HttpEndpointOptions {
  url: URL;
  connectionsMax: number;
  connectTimeoutMs: number;
  responseBytesMax: number;
  clock: Clock;
}

/** One URL and its keep-alive connections. */
export class HttpEndpoint {
  readonly #pool: Pool;

  constructor(private readonly options: HttpEndpointOptions) {
    this.#pool = new Pool(options.url.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      connect: { timeout: options.connectTimeoutMs },
      // The exchange as a whole has one deadline; a drip of bytes must not move it.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** POSTs; resolves to the whole answer, whatever its status. Rejects with HttpFailure in time. */
  exchange({ headers, body, timeoutMs }: HttpRequest): Promise<HttpAnswer> {
    const { url, clock, responseBytesMax } = this.options;
    const path = url.pathname + url.search;
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(responseBytesMax, resolve, reject);
      exchange.cancelTimer = clock.after(timeoutMs, () => exchange.expire(timeoutMs));
      this.#pool.dispatch({ method: 'POST', path, headers, body }, exchange);
    });
  }

  /** Connections: open and busy ones. */
  stats(): { open: number; busy: number } {
    const { connected, running } = this.#pool.stats;
    return { open: connected, busy: running };
  }

  /** Cuts what is still under way. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** One request on its way, bounded in time and in bytes. */
class Exchange implements Dispatcher.DispatchHandler {
  cancelTimer: () => void = () => {};
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;

  constructor(
    private readonly bytesMax: number,
    private readonly resolve: (answer: HttpAnswer) => void,
    private readonly reject: (failure: HttpFailure) => void,
  ) {}

  /** Called when the request is about to be written: before this the consumer cannot have run. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error('no longer wanted'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.bytesMax) this.#chunks.push(chunk);
    else this.#fail('too-large', `the answer has more than ${this.bytesMax} bytes`);
  }

  onResponseEnd(): void {
    if (!this.#end()) return;
    const body = Buffer.concat(this.#chunks).toString();
    this.resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const words = wordsOf(error);
    if (this.#controller === undefined) this.#fail('not-delivered', words);
    else this.#fail('crashed', `the connection ended before the answer did: ${words}`);
  }

  expire(timeoutMs: number): void {
    if (this.#controller !== undefined) this.#fail('timeout', `no answer within ${timeoutMs} ms`);
    else this.#fail('not-delivered', `no connection became free within ${timeoutMs} ms`);
  }

  #fail(kind: HttpFailure['kind'], message: string): void {
    if (!this.#end()) return;
    this.reject(new HttpFailure(kind, message));
    this.#controller?.abort(new Error(message));
  }

  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.cancelTimer();
    return true;
  }
}

/** Several addresses of a name refused: Node says so in an error without a message. */
function wordsOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ');
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code)
    ? error.message
    : `${code}: ${error.message}`;
}
