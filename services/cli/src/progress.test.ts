import { FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { createProgress, progressLine } from './progress.js';
import { memoryTerminal } from './terminal.suite.js';

test('a bar shows how far the work is', () => {
  expect(progressLine('replayed', 500, 2000)).toBe(
    'replayed [######..................]  25%  500 of 2,000',
  );
  expect(progressLine('replayed', 2000, 2000)).toContain('[########################] 100%');
});

test('without a total there is only a count', () => {
  expect(progressLine('jobs checked', 12345, 0)).toBe('jobs checked 12,345');
});

test('a bar is drawn at most ten times a second and taken away at the end', () => {
  const terminal = memoryTerminal({ animated: true });
  const clock = new FakeClock();
  const progress = createProgress(terminal, clock, 'pushed');
  progress.update(1, 100);
  expect(terminal.drawn).toBe('');
  clock.advanceSync(100);
  progress.update(50, 100);
  progress.update(51, 100);
  progress.finish();
  expect(terminal.drawn.match(/\d+ of 100/g)).toEqual(['50 of 100']);
  expect(terminal.drawn.endsWith('\r\u001b[K')).toBe(true);
});

test('nothing is drawn where nobody watches', () => {
  const terminal = memoryTerminal();
  const clock = new FakeClock();
  const progress = createProgress(terminal, clock, 'pushed');
  clock.advanceSync(1_000);
  progress.update(50, 100);
  progress.finish();
  expect(terminal.drawn).toBe('');
});
