import { connect, type Socket } from 'node:net';
import type { Clock } from '@malabar/core';
import type { ServerAddress } from './address.js';
import { Alarm } from './alarm.js';
import { FastcgiError } from './error.js';
import { Output } from './output.js';
import {
  CANT_MULTIPLEX,
  encodeRequest,
  OVERLOADED,
  REQUEST_COMPLETE,
  UNKNOWN_ROLE,
} from './record.js';
import { RecordParser } from './record-parser.js';
import { type FastcgiResponse, parseCgiResponse } from './response.js';

const READ_BUFFER_BYTES = 32 * 1024;
const STDERR_BYTES_MAX = 64 * 1024;
const RESENDS_MAX = 3;

export interface FastcgiRequest {
  /** FCGI_PARAMS, in this order. */
  params: Readonly<Record<string, string>>;
  /** The body; not copied when large, so do not change it before the response is there. */
  stdin: Uint8Array;
  /** From the moment it is written to the last byte of the response. */
  timeoutMs: number;
  /** Headers and body together. */
  stdoutBytesMax: number;
  signal?: AbortSignal;
}

/** A request on its way, and where its end is reported. */
export interface Exchange {
  request: FastcgiRequest;
  resolve(response: FastcgiResponse): void;
  reject(error: FastcgiError): void;
  /** How many connections were found closed before one took it. */
  resends: number;
  /** What an abort means now: while it waits, connects or runs. */
  abandon(): void;
}

export interface ConnectionSettings {
  address: ServerAddress;
  /** How the address is written in errors. */
  name: string;
  connectTimeoutMs: number;
  idleTimeoutMs: number;
  requestsPerConnection: number;
  /** Nothing stands between us and php-fpm that passes bytes on. */
  direct: boolean;
  clock: Clock;
}

/** What a connection tells the pool that owns it. */
export interface ConnectionOwner {
  /** The response is there, and another request may follow. */
  freed(connection: Connection): void;
  /** It is gone, whatever the reason; reported once. */
  closed(connection: Connection): void;
  /** The connection was closed before the request was read: it may be sent again. */
  unread(exchange: Exchange): void;
}

interface End {
  appStatus: number;
  protocolStatus: number;
}

/**
 * One connection to php-fpm, which pins one of its children. It carries one request at a time.
 *
 * A used connection may be closed under a request (pm.max_requests, reload), and a request may
 * only be sent again when its script cannot have run. That is certain in three cases:
 * - no connection came about;
 * - the one write of a small request failed at once: nothing of it was taken;
 * - on a direct connection, a clean end before any byte of a response. php-fpm closes by shutdown
 *   and then discards what still comes in, so what it had not read is answered by a clean end. A
 *   child that dies while a script runs gives ECONNRESET instead: php-fpm reads the empty STDIN
 *   record behind a body only with the next request, and the kernel resets a connection that is
 *   closed with unread bytes. A proxy may turn one into the other, hence `direct`.
 * Everything else is `crashed`, and the caller decides. An end while idle is seen at once.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #parser = new RecordParser(this);
  readonly #alarm: Alarm;
  #state: 'connecting' | 'idle' | 'busy' | 'closed' = 'connecting';
  #exchange: Exchange | undefined;
  readonly #stdout = new Output();
  readonly #stderr = new Output();
  #served = 0;
  #received = false;
  #ended: End | undefined;
  #oneWrite = false;

  constructor(
    private readonly settings: ConnectionSettings,
    private readonly owner: ConnectionOwner,
    first: Exchange,
  ) {
    this.#exchange = first;
    first.abandon = () => this.#abandon();
    this.#alarm = new Alarm(settings.clock, () => this.#late());
    this.#alarm.set(settings.connectTimeoutMs);
    this.#socket = connect({
      ...settings.address,
      noDelay: true,
      // One buffer per connection instead of one per read.
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (bytes, buffer) => this.#read(buffer as Buffer, bytes),
      },
    });
    this.#socket
      .on('connect', () => this.#state === 'connecting' && this.#write())
      .on('error', (error: NodeJS.ErrnoException) => this.#lost(error))
      .on('end', () => this.#lost())
      .on('close', () => this.#lost());
  }

  /** Sends a request on an idle connection. */
  send(exchange: Exchange): void {
    this.#exchange = exchange;
    exchange.abandon = () => this.#abandon();
    this.#write();
  }

  /** Closes an idle connection. */
  close(): void {
    this.#destroy();
  }

  stdout(chunk: Buffer, start: number, end: number): void {
    this.#stdout.add(chunk, start, end);
  }

  stderr(chunk: Buffer, start: number, end: number): void {
    this.#stderr.add(chunk, start, end);
  }

  end(appStatus: number, protocolStatus: number): void {
    this.#ended ??= { appStatus, protocolStatus };
  }

  #write(): void {
    const { request } = this.#exchange as Exchange;
    this.#state = 'busy';
    this.#served++;
    this.#received = false;
    this.#ended = undefined;
    this.#stdout.start(request.stdoutBytesMax);
    this.#stderr.start(STDERR_BYTES_MAX);
    const pieces = this.#encode(request);
    if (pieces === undefined) return;
    this.#alarm.set(request.timeoutMs);
    this.#oneWrite = pieces.length === 1;
    if (!this.#oneWrite) this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    if (!this.#oneWrite) this.#socket.uncork();
  }

  #encode({ params, stdin }: FastcgiRequest): Buffer[] | undefined {
    const keepConnection = this.#served < this.settings.requestsPerConnection;
    try {
      return encodeRequest({ params, stdin, keepConnection });
    } catch (error) {
      this.#fail('protocol', (error as RangeError).message);
      return undefined;
    }
  }

  #read(buffer: Buffer, bytes: number): boolean {
    if (this.#state !== 'busy') {
      // Nobody asked: the connection is out of step.
      this.#lost();
      return true;
    }
    this.#received = true;
    const fault = this.#parser.push(buffer.subarray(0, bytes));
    if (this.#ended !== undefined) this.#complete(this.#ended, fault === undefined);
    else if (fault !== undefined) this.#fail('protocol', fault);
    else if (this.#stdout.overflown) this.#failTooLarge();
    return true;
  }

  #complete({ appStatus, protocolStatus }: End, sound: boolean): void {
    if (protocolStatus !== REQUEST_COMPLETE) this.#refused(protocolStatus);
    else if (this.#stdout.overflown) this.#failTooLarge();
    else this.#respond(appStatus, sound);
  }

  #respond(appStatus: number, sound: boolean): void {
    const cgi = parseCgiResponse(this.#stdout.take());
    if (cgi === undefined) {
      this.#fail('protocol', 'response without end of headers');
      return;
    }
    const { status, headers, body } = cgi;
    const response = { status, headers, body, stderr: this.#stderr.text, appStatus };
    const exchange = this.#exchange as Exchange;
    this.#exchange = undefined;
    this.#release(sound);
    exchange.resolve(response);
  }

  /** Back to the pool, unless the server closes it, still reads, or said more than it should. */
  #release(sound: boolean): void {
    const reusable =
      sound &&
      this.#served < this.settings.requestsPerConnection &&
      this.#parser.atBoundary &&
      this.#socket.writableLength === 0;
    if (!reusable) {
      this.#destroy();
      return;
    }
    this.#state = 'idle';
    this.#alarm.set(this.settings.idleTimeoutMs);
    this.owner.freed(this);
  }

  #refused(protocolStatus: number): void {
    const reasons: Record<number, string> = {
      [CANT_MULTIPLEX]: 'CANT_MPX_CONN: it serves another request on this connection',
      [OVERLOADED]: 'OVERLOADED',
      [UNKNOWN_ROLE]: 'UNKNOWN_ROLE: it is not a responder',
    };
    const reason = reasons[protocolStatus];
    // Each of the three says that the application was not called.
    if (reason !== undefined) this.#fail('not-delivered', `refused the request: ${reason}`);
    else this.#fail('protocol', `END_REQUEST with unknown protocolStatus ${protocolStatus}`);
  }

  #late(): void {
    if (this.#state === 'connecting') {
      this.#fail('not-delivered', `no connection within ${this.settings.connectTimeoutMs} ms`);
    } else if (this.#state === 'busy') {
      const timeoutMs = this.#exchange?.request.timeoutMs;
      this.#fail('timeout', `no response within ${timeoutMs} ms; the script may still run`);
    } else this.#destroy();
  }

  #abandon(): void {
    if (this.#state === 'connecting') this.#fail('not-delivered', 'aborted before it was sent');
    else this.#fail('aborted', 'aborted; the script may still run');
  }

  #failTooLarge(): void {
    const { stdoutBytesMax } = (this.#exchange as Exchange).request;
    this.#fail('too-large', `response larger than ${stdoutBytesMax} bytes`);
  }

  #lost(error?: NodeJS.ErrnoException): void {
    const reason = error?.code ?? 'end of connection';
    if (this.#state === 'connecting') this.#fail('not-delivered', `no connection: ${reason}`);
    else if (this.#state !== 'busy') this.#destroy();
    else if (this.#isUnread(error)) this.#resend();
    else this.#fail('crashed', `${reason} ${this.#howFar()}`);
  }

  /** The second and third case above. */
  #isUnread(error: NodeJS.ErrnoException | undefined): boolean {
    if (this.#received || this.#served === 1) return false;
    if (error === undefined) return this.settings.direct;
    const closed = error.code === 'EPIPE' || error.code === 'ECONNRESET';
    return this.#oneWrite && closed && error.syscall === 'write';
  }

  #resend(): void {
    const exchange = this.#exchange as Exchange;
    if (exchange.resends >= RESENDS_MAX) {
      this.#fail('not-delivered', `closed ${RESENDS_MAX + 1} connections without reading`);
      return;
    }
    exchange.resends++;
    this.#exchange = undefined;
    this.#destroy();
    this.owner.unread(exchange);
  }

  #howFar(): string {
    if (this.#received) return 'before the end of the response: the script died';
    if (this.#served === 1) return 'without a response: the script died, or php-fpm restarted';
    return (
      'without a response on a connection used before: the script died, or php-fpm closed the ' +
      'connection (pm.max_requests, reload) without running it'
    );
  }

  #fail(kind: FastcgiError['kind'], reason: string): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const stderr = this.#stderr.text;
    this.#destroy();
    exchange?.reject(new FastcgiError(kind, `php-fpm at ${this.settings.name}: ${reason}`, stderr));
  }

  #destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#alarm.stop();
    this.#socket.destroy();
    this.owner.closed(this);
  }
}
