/**
 * Length-delimited protobuf: each message preceded by its length as a varint. A batch of jobs
 * travels and is stored in this form, so nobody between ingest and dispatcher decodes a job.
 */

/** Bytes that the varint of `value` takes. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** Writes the varint of `value` at `offset`; returns the offset behind it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[at++] = rest;
  return at;
}

/**
 * Where the messages of `bytes` begin, and behind the last one where they end: message i, with its
 * length, is [offsets[i], offsets[i + 1]). Undefined if the bytes are not whole frames.
 */
export function frameOffsets(bytes: Uint8Array): number[] | undefined {
  const offsets = [0];
  let at = 0;
  while (at < bytes.length) {
    let length = 0;
    let factor = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || factor > 2 ** 42) return undefined;
      length += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
    }
    at += length;
    if (at > bytes.length) return undefined;
    offsets.push(at);
  }
  return offsets;
}

/** The message inside the frame [start, end), without its length; shares memory with `bytes`. */
export function frameBody(bytes: Uint8Array, start: number, end: number): Uint8Array {
  let at = start;
  while ((bytes[at] ?? 0) >= 0x80) at++;
  return bytes.subarray(at + 1, end);
}

/** Joins encoded messages into one buffer of frames. */
export function joinFrames(messages: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const message of messages) size += varintLength(message.length) + message.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const message of messages) {
    at = writeVarint(bytes, at, message.length);
    bytes.set(message, at);
    at += message.length;
  }
  return bytes;
}
