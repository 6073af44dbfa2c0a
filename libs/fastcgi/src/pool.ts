import type { Clock } from '@malabar/core';
import { parseAddress } from './address.js';
import { Alarm } from './alarm.js';
import {
  Connection,
  type ConnectionOwner,
  type ConnectionSettings,
  type Exchange,
  type FastcgiRequest,
} from './connection.js';
import { FastcgiError } from './error.js';
import type { FastcgiResponse } from './response.js';

const WAITERS_MAX = 1024;

export interface FastcgiPoolOptions {
  /** `unix:/path` or `host:port`. */
  address: string;
  /**
   * Each connection pins one php-fpm child while it is open: stay below the share of
   * pm.max_children that is ours, or further connections hang in php-fpm's backlog.
   */
  connectionsMax: number;
  connectTimeoutMs: number;
  /** Below the server's own limit: php-fpm closes a connection never used after 5 s. */
  idleTimeoutMs: number;
  /** The last one is sent without KEEP_CONN. A divisor of pm.max_requests avoids surprises. */
  requestsPerConnection: number;
  /**
   * Nothing stands between us and php-fpm that passes bytes on (docker-proxy, a mesh): then a
   * connection that php-fpm closes under a request is told from a script that died, and the
   * request goes to another one. Default: only for unix sockets.
   */
  direct?: boolean;
  /** Requests that may wait for a connection; default 1024. */
  waitersMax?: number;
  /** How long one may wait; default `connectTimeoutMs`. */
  waitTimeoutMs?: number;
  clock: Clock;
}

export interface FastcgiPoolStats {
  /** Connections, also those being made. */
  open: number;
  busy: number;
  idle: number;
  /** Requests that wait for a connection. */
  waiting: number;
}

export interface FastcgiPool {
  /** Rejects with FastcgiError only. Sends a request again only if it was not read. */
  request(request: FastcgiRequest): Promise<FastcgiResponse>;
  stats(): FastcgiPoolStats;
  /** Refuses new requests and those that wait, lets those on their way finish, then resolves. */
  close(): Promise<void>;
}

/** A pool of keep-alive connections to one php-fpm. */
export function createFastcgiPool(options: FastcgiPoolOptions): FastcgiPool {
  const pool = new Pool(options);
  return {
    request: (request) => pool.request(request),
    stats: () => pool.stats(),
    close: () => pool.close(),
  };
}

interface Waiter {
  exchange: Exchange;
  untilMs: number;
}

class Pool implements ConnectionOwner {
  readonly #settings: ConnectionSettings;
  readonly #open = new Set<Connection>();
  /** The one used last is used next, so that those we do not need time out. */
  readonly #idle: Connection[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #waitTimeoutMs: number;
  readonly #waitersMax: number;
  readonly #patience: Alarm;
  #onClosed: (() => void) | undefined;
  #closing = false;

  constructor(private readonly options: FastcgiPoolOptions) {
    this.#settings = {
      ...options,
      address: parseAddress(options.address),
      name: options.address,
      direct: options.direct ?? options.address.startsWith('unix:'),
    };
    this.#waitTimeoutMs = options.waitTimeoutMs ?? options.connectTimeoutMs;
    this.#waitersMax = options.waitersMax ?? WAITERS_MAX;
    this.#patience = new Alarm(options.clock, () => this.#giveUp());
  }

  request(request: FastcgiRequest): Promise<FastcgiResponse> {
    return new Promise((resolve, reject) => {
      const exchange: Exchange = { request, resolve, reject, resends: 0, abandon: () => {} };
      if (request.signal !== undefined && !followSignal(exchange, request.signal)) {
        return reject(this.#notDelivered('aborted before it was sent'));
      }
      this.#dispatch(exchange);
    });
  }

  stats(): FastcgiPoolStats {
    const idle = this.#idle.length;
    const open = this.#open.size;
    return { open, busy: open - idle, idle, waiting: this.#waiters.size };
  }

  close(): Promise<void> {
    this.#closing = true;
    for (const waiter of this.#waiters) this.#refuse(waiter, 'the pool is closed');
    for (const connection of [...this.#idle]) connection.close();
    this.#patience.stop();
    return new Promise((resolve) => {
      const earlier = this.#onClosed;
      this.#onClosed = () => {
        earlier?.();
        resolve();
      };
      if (this.#open.size === 0) this.#onClosed();
    });
  }

  freed(connection: Connection): void {
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) connection.send(waiter.exchange);
    else if (this.#closing) connection.close();
    else this.#idle.push(connection);
  }

  closed(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#open.size === 0 && this.#closing) this.#onClosed?.();
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) this.#dial(waiter.exchange);
  }

  unread(exchange: Exchange): void {
    this.#dispatch(exchange);
  }

  #dispatch(exchange: Exchange): void {
    const connection = this.#idle.pop();
    if (this.#closing) exchange.reject(this.#notDelivered('the pool is closed'));
    else if (connection !== undefined) connection.send(exchange);
    else if (this.#open.size < this.options.connectionsMax) this.#dial(exchange);
    else this.#wait(exchange);
  }

  #dial(exchange: Exchange): void {
    this.#open.add(new Connection(this.#settings, this, exchange));
  }

  #wait(exchange: Exchange): void {
    if (this.#waiters.size >= this.#waitersMax) {
      const reason = `${this.#waitersMax} requests wait for a connection already`;
      exchange.reject(this.#notDelivered(reason));
      return;
    }
    const waiter = { exchange, untilMs: this.options.clock.now() + this.#waitTimeoutMs };
    exchange.abandon = () => this.#refuse(waiter, 'aborted before it was sent');
    if (this.#waiters.size === 0) this.#patience.set(this.#waitTimeoutMs);
    this.#waiters.add(waiter);
  }

  #nextWaiter(): Waiter | undefined {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) this.#waiters.delete(waiter);
    return waiter;
  }

  /** All wait equally long, so those whose time is over stand at the front. */
  #giveUp(): void {
    const now = this.options.clock.now();
    const { connectionsMax } = this.options;
    for (const waiter of this.#waiters) {
      if (waiter.untilMs > now) {
        this.#patience.set(waiter.untilMs - now);
        return;
      }
      const state = `all ${connectionsMax} connections busy for ${this.#waitTimeoutMs} ms`;
      this.#refuse(waiter, state);
    }
  }

  #refuse(waiter: Waiter, reason: string): void {
    this.#waiters.delete(waiter);
    waiter.exchange.reject(this.#notDelivered(reason));
  }

  #notDelivered(reason: string): FastcgiError {
    return new FastcgiError('not-delivered', `php-fpm at ${this.options.address}: ${reason}`);
  }
}

/** Lets the signal end the exchange; false when it has fired already. */
function followSignal(exchange: Exchange, signal: AbortSignal): boolean {
  if (signal.aborted) return false;
  const onAbort = () => exchange.abandon();
  const { resolve, reject } = exchange;
  exchange.resolve = (response) => {
    signal.removeEventListener('abort', onAbort);
    resolve(response);
  };
  exchange.reject = (error) => {
    signal.removeEventListener('abort', onAbort);
    reject(error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return true;
}
