import { FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { Reports } from './reports.js';

function reporting() {
  const clock = new FakeClock();
  const sent: string[] = [];
  const reports = new Reports({
    clock,
    random: () => 0.5,
    send: ({ domain, release, refusal }) => sent.push(`${domain} ${release} ${refusal}`.trim()),
  });
  const add = (release: number, refusal = '', domain = 'shop'): void =>
    reports.add({ domain, release, refusal });
  return { clock, reports, sent, add };
}

test('the first report of a stream goes at once, the next ones wait for newer ones', () => {
  const { clock, sent, add, reports } = reporting();
  add(1);
  expect(sent).toEqual(['shop 1']);
  add(2);
  add(3);
  clock.advanceSync(74);
  expect(sent).toEqual(['shop 1']);
  clock.advanceSync(1);
  expect(sent).toEqual(['shop 1', 'shop 3']);
  add(3);
  expect(clock.pending).toBe(0);
  reports.forget();
  add(3);
  expect(sent).toEqual(['shop 1', 'shop 3', 'shop 3']);
});

test('a refusal does not hide what runs, and what runs hides older refusals', () => {
  const { clock, sent, add } = reporting();
  add(1);
  add(1, '', 'bank');
  add(2);
  add(3, 'no');
  add(4, 'never');
  add(2, '', 'bank');
  clock.advanceSync(100);
  expect(sent.splice(0)).toEqual(['shop 1', 'bank 1', 'shop 2', 'shop 4 never', 'bank 2']);
  add(5, 'no');
  add(6);
  clock.advanceSync(100);
  expect(sent).toEqual(['shop 6']);
});

test('after a stop nothing is sent', () => {
  const { clock, reports, sent, add } = reporting();
  add(1);
  add(2);
  reports.stop();
  clock.advanceSync(100);
  expect(sent).toEqual(['shop 1']);
});
