import { readFileSync } from 'node:fs';
import { ERRORS, type ErrorCode } from '@malabar/core';
import { expect, test } from 'vitest';
import { EXIT, exitCodeOf } from './exit.js';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');

/** The cells of every row of the page's tables whose first cell matches. */
function rows(first: RegExp): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()))
    .filter(([cell]) => first.test(cell ?? ''));
}

test('docs/errors.md lists exactly the codes of the bus, in their order', () => {
  expect(rows(/^[A-Z_]+$/).map(([code]) => code)).toEqual(Object.keys(ERRORS));
});

test.each(rows(/^[A-Z_]+$/))('docs/errors.md says of %s what the code does', (...cells) => {
  const [code, grpc, redis, http, retry, exit, meaning] = cells as [ErrorCode, ...string[]];
  const row = ERRORS[code];
  expect(Number.parseInt(grpc ?? '', 10)).toBe(row.grpc);
  expect(redis).toBe(row.redis);
  expect(Number(http)).toBe(row.http);
  expect(retry).toBe(row.retryable ? 'yes' : 'no');
  expect(Number(exit)).toBe(exitCodeOf(code));
  expect(meaning?.length).toBeGreaterThan(10);
});

test('docs/errors.md lists every exit code of the command', () => {
  expect(rows(/^[0-9]+$/).map(([exit]) => Number(exit))).toEqual(Object.values(EXIT));
});
