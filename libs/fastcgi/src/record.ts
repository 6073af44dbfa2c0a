/** Records of the FastCGI specification 1.0 (https://fastcgi-archives.github.io), section 3.3. */

export const HEADER_BYTES = 8;
/** contentLength is 16 bits. */
const CONTENT_BYTES_MAX = 65535;
/** A request up to this size becomes one buffer and one write; a larger body is not copied. */
const GATHER_BYTES_MAX = 64 * 1024;

const BEGIN_REQUEST = 1;
export const END_REQUEST = 3;
export const PARAMS = 4;
export const STDIN = 5;
export const STDOUT = 6;
export const STDERR = 7;

/** php-fpm does not multiplex (FCGI_MPXS_CONNS=0): one request at a time, always number 1. */
export const REQUEST_ID = 1;

/** protocolStatus of END_REQUEST. */
export const REQUEST_COMPLETE = 0;
export const CANT_MULTIPLEX = 1;
export const OVERLOADED = 2;
export const UNKNOWN_ROLE = 3;

const VERSION = 1;
const RESPONDER = 1;
const KEEP_CONNECTION = 1;
const BEGIN_BYTES = 2 * HEADER_BYTES;

type Params = Readonly<Record<string, string>>;

export interface RequestContent {
  params: Params;
  stdin: Uint8Array;
  /** Asks the server to leave the connection open behind this request. */
  keepConnection: boolean;
}

/**
 * A whole request in the pieces to write: one buffer when it is small, else slices of `stdin`
 * between record headers. Throws a RangeError on a parameter that fits no record.
 */
export function encodeRequest({ params, stdin, keepConnection }: RequestContent): Buffer[] {
  const paramsBytes = pairsBytes(params);
  const records = paramsBytes <= CONTENT_BYTES_MAX ? [params] : paramsRecords(params);
  const headBytes = BEGIN_BYTES + paramsBytes + (records.length + 1) * HEADER_BYTES;
  const totalBytes = headBytes + framedBytes(stdin.length);
  const gathered = totalBytes <= GATHER_BYTES_MAX;
  const head = Buffer.allocUnsafe(gathered ? totalBytes : headBytes);
  let at = encodeParams(head, writeBegin(head, keepConnection), records);
  if (!gathered) return [head.subarray(0, at), ...stdinPieces(stdin)];
  if (stdin.length > 0) {
    at = writeHeader(head, at, STDIN, stdin.length);
    head.set(stdin, at);
    at += stdin.length;
  }
  at = writeHeader(head, at, STDIN, 0);
  return [head.subarray(0, at)];
}

/** Writes a record header without padding; returns where the content goes. */
function writeHeader(to: Buffer, at: number, type: number, contentBytes: number): number {
  to[at] = VERSION;
  to[at + 1] = type;
  to[at + 2] = 0;
  to[at + 3] = REQUEST_ID;
  to[at + 4] = contentBytes >>> 8;
  to[at + 5] = contentBytes & 0xff;
  to[at + 6] = 0;
  to[at + 7] = 0;
  return at + HEADER_BYTES;
}

/** The bytes of a stream of `contentBytes` in records, with the empty record that ends it. */
function framedBytes(contentBytes: number): number {
  const records = Math.ceil(contentBytes / CONTENT_BYTES_MAX) + 1;
  return contentBytes + records * HEADER_BYTES;
}

function writeBegin(to: Buffer, keepConnection: boolean): number {
  const at = writeHeader(to, 0, BEGIN_REQUEST, HEADER_BYTES);
  to.fill(0, at, at + HEADER_BYTES);
  to[at + 1] = RESPONDER;
  to[at + 2] = keepConnection ? KEEP_CONNECTION : 0;
  return at + HEADER_BYTES;
}

/** The whole PARAMS stream, its end too. */
function encodeParams(to: Buffer, start: number, records: readonly Params[]): number {
  let at = start;
  for (const record of records) {
    const bytes = pairsBytes(record);
    if (bytes > 0) at = writePairs(to, writeHeader(to, at, PARAMS, bytes), record);
  }
  return writeHeader(to, at, PARAMS, 0);
}

/** The specification lets records cut a pair, but php-fpm does not: it wants each pair whole. */
function paramsRecords(params: Params): Params[] {
  const records: Record<string, string>[] = [];
  let room = 0;
  for (const name in params) {
    const value = params[name] as string;
    const bytes = pairBytes(name, value);
    if (bytes > CONTENT_BYTES_MAX) {
      throw new RangeError(`parameter ${name} of ${bytes} bytes; php-fpm takes 65535 at most`);
    }
    if (bytes > room) {
      records.push({});
      room = CONTENT_BYTES_MAX;
    }
    room -= bytes;
    Object.assign(records.at(-1) as object, { [name]: value });
  }
  return records;
}

function pairsBytes(params: Params): number {
  let bytes = 0;
  for (const name in params) bytes += pairBytes(name, params[name] as string);
  return bytes;
}

function pairBytes(name: string, value: string): number {
  const nameBytes = Buffer.byteLength(name);
  const valueBytes = Buffer.byteLength(value);
  return (nameBytes < 128 ? 1 : 4) + (valueBytes < 128 ? 1 : 4) + nameBytes + valueBytes;
}

function writePairs(to: Buffer, start: number, params: Params): number {
  let at = start;
  for (const name in params) {
    const value = params[name] as string;
    at = writeLength(to, at, Buffer.byteLength(name));
    at = writeLength(to, at, Buffer.byteLength(value));
    at += to.write(name, at);
    at += to.write(value, at);
  }
  return at;
}

/** One byte below 128, else four with the top bit set (section 3.4). */
function writeLength(to: Buffer, at: number, length: number): number {
  if (length >= 128) return to.writeUInt32BE((length | 0x80000000) >>> 0, at);
  to[at] = length;
  return at + 1;
}

function stdinPieces(stdin: Uint8Array): Buffer[] {
  const whole = Buffer.from(stdin.buffer, stdin.byteOffset, stdin.byteLength);
  const pieces: Buffer[] = [];
  for (let from = 0; from < whole.length; from += CONTENT_BYTES_MAX) {
    const content = whole.subarray(from, from + CONTENT_BYTES_MAX);
    pieces.push(recordHeader(STDIN, content.length), content);
  }
  pieces.push(recordHeader(STDIN, 0));
  return pieces;
}

function recordHeader(type: number, contentBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, 0, type, contentBytes);
  return header;
}
