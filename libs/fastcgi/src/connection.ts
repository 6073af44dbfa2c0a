import { connect, type Socket } from 'node:net';
import type { Clock } from '@malabar/core';
import type { ServerAddress } from './address.js';
import { Alarm } from './alarm.js';
import { FastcgiError } from './error.js';
import { Output } from './output.js';
import {
  CANT_MULTIPLEX,
  encodeRequest,
  GATHER_BYTES_MAX,
  OVERLOADED,
  REQUEST_COMPLETE,
  UNKNOWN_ROLE,
} from './record.js';
import { RecordParser } from './record-parser.js';
import { type FastcgiResponse, parseCgiResponse } from './response.js';

const READ_BUFFER_BYTES = 32 * 1024;
const STDERR_BYTES_MAX = 64 * 1024;

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
  clock: Clock;
}

/** What a connection tells the pool that owns it. */
export interface ConnectionOwner {
  /** The response is there, and another request may follow. */
  freed(connection: Connection): void;
  /** It is gone, whatever the reason; reported once. */
  closed(connection: Connection): void;
  /** Not a byte of the request left this host: it may be sent again. */
  unsent(exchange: Exchange): void;
}

interface End {
  appStatus: number;
  protocolStatus: number;
}

/**
 * One connection to php-fpm, which pins one of its children. It carries one request at a time.
 *
 * What is certain, when it ends without a response? Only a connect that failed and a first write
 * that failed prove that the script did not run. A connection that is closed behind our write
 * proves nothing: php-fpm discards what it did not read yet when it closes (pm.max_requests,
 * reload), which looks the same as a child that died in the middle of the script. So this is
 * `crashed`, and the caller decides. Closing while idle is seen at once and harms nobody.
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
    this.#alarm.set(request.timeoutMs);
    const keepConnection = this.#served < this.settings.requestsPerConnection;
    const pieces = encodeRequest({ params: request.params, stdin: request.stdin, keepConnection });
    this.#oneWrite = pieces.length === 1 && (pieces[0]?.length ?? 0) <= GATHER_BYTES_MAX;
    if (pieces.length === 1) {
      this.#socket.write(pieces[0] as Buffer);
      return;
    }
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
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
    else if (this.#wasUnsent(error)) this.#resend();
    else this.#fail('crashed', `${reason} ${this.#howFar()}`);
  }

  /** The one write failed: the connection was closed before it, and nothing of it was taken. */
  #wasUnsent(error: NodeJS.ErrnoException | undefined): boolean {
    return (
      this.#oneWrite &&
      !this.#received &&
      error?.syscall === 'write' &&
      (error.code === 'EPIPE' || error.code === 'ECONNRESET')
    );
  }

  /** Elsewhere; but a server that closes every new connection gets no second one from us. */
  #resend(): void {
    if (this.#served === 1) {
      this.#fail('not-delivered', 'it closed the new connection');
      return;
    }
    const exchange = this.#exchange as Exchange;
    this.#exchange = undefined;
    this.#destroy();
    this.owner.unsent(exchange);
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
