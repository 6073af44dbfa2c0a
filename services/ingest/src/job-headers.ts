import { BusError } from '@malabar/core';

/** Names and values together. Whoever carries the job carries them, and most web servers take few. */
export const HEADERS_BYTES_MAX = 16 * 1024;
/** Names that the bus keeps for what it says itself, e.g. of which schedule a job is a run. */
const OWN = /^malabar-/i;
/** A token of HTTP. `__proto__` would get lost wherever headers are an object. */
const NAME = /^(?!__proto__$)[\w!#$%&'*+.^`|~-]{1,128}$/;

/** What is wrong with the headers that a producer gives to a job; undefined if nothing is. */
export function headersFault(headers: Readonly<Record<string, string>>): BusError | undefined {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (OWN.test(name)) return invalid(`header '${name}': names with malabar- are the bus's own`);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (bytes <= HEADERS_BYTES_MAX) return undefined;
  return invalid(`${bytes} bytes of headers, ${HEADERS_BYTES_MAX} allowed`);
}

/** Whether a producer may give a job a header of this name. */
export const isHeaderName = (name: string): boolean => NAME.test(name) && !OWN.test(name);

/** Adds a header whose name comes from outside. Throws INVALID for a strange name, or one that is there. */
export function addHeader(headers: Record<string, string>, name: string, value: string): void {
  if (!NAME.test(name)) {
    const text = `'${name.slice(0, 32)}': 1 to 128 letters, digits and signs such as '-'`;
    throw invalid(`header name ${text}`);
  }
  const before = Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase());
  if (before !== undefined) throw invalid(`header '${name}' is there twice`);
  headers[name] = value;
}

const invalid = (text: string): BusError => new BusError('INVALID', text);
