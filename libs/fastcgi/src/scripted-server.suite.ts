import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { END_REQUEST, HEADER_BYTES, STDERR, STDIN, STDOUT } from './record.js';

export interface SeenRecord {
  type: number;
  content: Buffer;
}

export interface ScriptedServer {
  /** `unix:/path`. */
  address: string;
  /** Connections accepted so far. */
  accepted(): number;
  /** Connections open now. */
  open(): number;
  stop(): Promise<void>;
}

/**
 * A FastCGI server that plays a script: `answer` is called for each whole request with its number
 * (from 1) and its records, and writes or destroys as it likes.
 */
export async function scriptedServer(
  answer: (socket: Socket, request: number, records: SeenRecord[]) => void,
): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  let requests = 0;
  const server = createServer((socket) => {
    accepted++;
    sockets.add(socket);
    let pending = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (let end = requestEnd(pending); end > 0; end = requestEnd(pending)) {
        const records = decode(pending.subarray(0, end));
        pending = pending.subarray(end);
        answer(socket, ++requests, records);
      }
    });
  });
  const path = join(tempDir('fastcgi'), 'server.sock');
  server.listen(path);
  await once(server, 'listening');
  return {
    address: `unix:${path}`,
    accepted: () => accepted,
    open: () => sockets.size,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Plain decoder of whole records, written apart from the parser under test. */
export function decode(bytes: Buffer): SeenRecord[] {
  const records: SeenRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + HEADER_BYTES;
    const end = start + bytes.readUInt16BE(at + 4);
    records.push({ type: bytes.readUInt8(at + 1), content: bytes.subarray(start, end) });
    at = end + bytes.readUInt8(at + 6);
  }
  return records;
}

/** Where the empty STDIN record ends; 0 when it is not there yet. */
function requestEnd(bytes: Buffer): number {
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const contentBytes = bytes.readUInt16BE(at + 4);
    const type = bytes.readUInt8(at + 1);
    at += HEADER_BYTES + contentBytes + bytes.readUInt8(at + 6);
    if (at > bytes.length) return 0;
    if (type === STDIN && contentBytes === 0) return at;
  }
  return 0;
}

/** One record, with padding and the request number as wished. */
export function record(
  type: number,
  content: string | Buffer = '',
  { padding = 0, requestId = 1 } = {},
): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.from([1, type, 0, requestId, body.length >> 8, body.length, padding, 0]);
  return Buffer.concat([header, body, Buffer.alloc(padding, 0xee)]);
}

export const stdout = (text: string) => record(STDOUT, text);
export const stderr = (text: string) => record(STDERR, text);

/** END_REQUEST as php-fpm sends it: the reserved bytes hold what was in its memory. */
export function endRequest({ appStatus = 0, protocolStatus = 0 } = {}): Buffer {
  const body = Buffer.from([0, 0, 0, 0, protocolStatus, 0xde, 0xad, 0xbe]);
  body.writeUInt32BE(appStatus);
  return record(END_REQUEST, body);
}

/** A whole good answer. */
export function reply(body: string): Buffer {
  return Buffer.concat([stdout(`Content-type: text/plain\r\n\r\n${body}`), endRequest()]);
}
