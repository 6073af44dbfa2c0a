import { common } from '@malabar/contracts';
import { expect, test } from 'vitest';
import {
  firstLine,
  formatBody,
  formatBytes,
  formatSpan,
  formatTime,
  outcomeName,
  stateName,
} from './format.js';

test('a span is told in its two largest units', () => {
  expect(formatSpan(0)).toBe('0ms');
  expect(formatSpan(999)).toBe('999ms');
  expect(formatSpan(61_500)).toBe('1min 1s');
  expect(formatSpan(2 * 86_400_000)).toBe('2d');
  expect(formatSpan(86_400_000 + 59_000)).toBe('1d');
});

test('a time is local, and none is a dash', () => {
  expect(formatTime(new Date(2026, 7, 1, 9, 30, 5).getTime())).toBe('2026-08-01 09:30:05');
  expect(formatTime(0)).toBe('-');
});

test('bytes come in binary units', () => {
  expect(formatBytes(512)).toBe('512 B');
  expect(formatBytes(1536 * 1024)).toBe('1.5 MiB');
});

test('a body is text where it is text, hexadecimal where it is not', () => {
  expect(formatBody(Buffer.from('naïve'))).toBe('naïve');
  expect(formatBody(Buffer.from([0xff, 0x00]))).toBe('0xff00');
});

test('a long body is cut, also inside of a character', () => {
  expect(formatBody(Buffer.from('aé'), 2)).toBe('a ... (3 B in all)');
});

test('only the first line of an error is a cell', () => {
  expect(firstLine('boom\nat x.php', 80)).toBe('boom');
  expect(firstLine('0123456789', 8)).toBe('01234...');
});

test('states and outcomes are called as in the documents', () => {
  expect(stateName(common.DeliveryState.DEAD)).toBe('dead');
  expect(outcomeName(common.OutcomeKind.CRASH)).toBe('crash');
});
