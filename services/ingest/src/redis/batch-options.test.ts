import { batches } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { parseBatchOptions } from './batch-options.js';

test('options in any case and order', () => {
  expect(parseBatchOptions([])).toEqual({
    on: batches.BatchOn.ALWAYS,
    headers: {},
    expiresAfterMs: 0,
  });
  const words = ['header', 'user', '7', 'Expires', '1.5', 'on', 'success', 'HEADER', 'x', ''];
  expect(parseBatchOptions(words)).toEqual({
    on: batches.BatchOn.SUCCESS,
    headers: { user: '7', x: '' },
    expiresAfterMs: 1_500,
  });
});

test.each([
  [['WITH', 'x'], /has no option 'WITH'; it knows ON, EXPIRES, HEADER/],
  [['ON', 'monday'], /ON monday: ALWAYS or SUCCESS/],
  [['ON', '__proto__'], /ALWAYS or SUCCESS/],
  [['ON'], /ON needs a value/],
  [['EXPIRES', 'soon'], /EXPIRES must be seconds, got 'soon'/],
  [['HEADER', 'user'], /BATCHOPEN HEADER needs a name and a value/],
  [['HEADER', 'a b', ''], /header name 'a b'/],
])('%j is refused', (words, reason) => {
  expect(() => parseBatchOptions(words)).toThrow(reason);
});
