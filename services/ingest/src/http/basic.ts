import { BusError } from '@malabar/core';

/** Identity and password of an `Authorization: Basic` header; undefined if there is none. */
export function readBasic(header: string | undefined): [string, string] | undefined {
  if (header === undefined || header === '') return undefined;
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(header) ?? [];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) {
    throw new BusError('UNAUTHENTICATED', 'expected: Authorization: Basic base64(queue:password)');
  }
  return [decoded.slice(0, colon), decoded.slice(colon + 1)];
}
