/** The keys from `start` up to, without it, `end`; a zero byte as the end is that of all. */
export interface KeyRange {
  start: Buffer;
  end: Buffer;
}

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: string): KeyRange {
  const start = Buffer.from(prefix);
  // UTF-8 has no byte 0xff, so the last byte can always be counted up.
  const end = Buffer.from(start);
  if (start.length === 0) return { start: Buffer.of(0), end: Buffer.of(0) };
  end[end.length - 1] = (end[end.length - 1] as number) + 1;
  return { start, end };
}

/** The first key behind `key`. */
export const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.of(0)]);
