/** The first key behind all that begin with `prefix`; a zero byte, for etcd the end of all, if there is none. */
export function endOfPrefix(prefix: Buffer): Buffer {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return Buffer.of(0);
  const end = Buffer.from(prefix.subarray(0, length));
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}

/** The first key behind `key`. */
export const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.of(0)]);
