import { common } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { parseNack } from './nack-options.js';

const { CRASH, DEAD, RELEASE, RETRY } = common.OutcomeKind;

test('receipts alone are left to the retry policy', () => {
  expect(parseNack(['a.1', 'b.2'])).toEqual({
    receipts: ['a.1', 'b.2'],
    outcome: { kind: RETRY, retryAfterMs: 0, errorCode: '', error: '' },
  });
});

test('a consumer says why, when to try again, or that it is of no use', () => {
  const words = ['a.1', 'after', '1.5', 'CODE', 'NoStock', 'error', 'DEAD'];
  expect(parseNack(words).outcome).toEqual({
    kind: RETRY,
    retryAfterMs: 1500,
    errorCode: 'NoStock',
    error: 'DEAD',
  });
  for (const [word, kind] of [['DEAD', DEAD] as const, ['crash', CRASH], ['RELEASE', RELEASE]])
    expect(parseNack(['a.1', word as string]).outcome.kind).toBe(kind);
});

test('words are cut at 16 KiB', () => {
  const { outcome } = parseNack(['a.1', 'ERROR', 'x'.repeat(20_000)]);
  expect(outcome.error).toHaveLength(16 * 1024);
});

test.each([
  [['DEAD'], 'NACK needs a receipt'],
  [['a.1', 'AFTER'], 'NACK AFTER needs a value'],
  [['a.1', 'AFTER', 'soon'], "NACK AFTER must be 0 to 2592000 seconds, got 'soon'"],
  [['a.1', 'AFTER', '2592001'], 'NACK AFTER must be'],
])('%j is refused', (words, message) => {
  expect(() => parseNack(words)).toThrow(message);
});
