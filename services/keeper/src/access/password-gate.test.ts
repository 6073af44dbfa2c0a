import { hashPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import { PasswordGate } from './password-gate.js';

test('a password is right, wrong, or there is none', async () => {
  const gate = new PasswordGate();
  const hash = await gate.hash('right');
  expect(await gate.verify('right', hash)).toBe(true);
  expect(await gate.verify('wrong', hash)).toBe(false);
  expect(await gate.verify('', undefined)).toBe(false);
  expect(await gate.verify('', '')).toBe(false);
});

test('an unknown user costs the time of a wrong password', async () => {
  const gate = new PasswordGate();
  const hash = await hashPassword('right');
  await gate.verify('wrong', hash);
  const time = async (known: string | undefined): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < 9; i++) {
      const startedAtMs = performance.now();
      await gate.verify('wrong', known);
      times.push(performance.now() - startedAtMs);
    }
    return times.sort((a, b) => a - b)[4] as number;
  };
  const [wrong, unknown] = [await time(hash), await time(undefined)];
  expect(unknown).toBeGreaterThan(wrong / 2);
  expect(unknown).toBeLessThan(wrong * 2);
});

test('a crowd is refused beyond what may wait; the others get their answer', async () => {
  const gate = new PasswordGate(4);
  const hash = await hashPassword('right');
  const crowd = Array.from({ length: 10 }, () => gate.verify('right', hash));
  const all = await Promise.allSettled(crowd);
  const refused = all.filter((one) => one.status === 'rejected');
  expect(refused.map(({ reason }) => reason.code)).toEqual(Array(10 - 6).fill('BUSY'));
  expect(await gate.verify('right', hash)).toBe(true);
});

test('an endless password is refused before any work', async () => {
  const gate = new PasswordGate();
  await expect(gate.verify('x'.repeat(1_025), undefined)).rejects.toThrow('at most 1024 bytes');
});
