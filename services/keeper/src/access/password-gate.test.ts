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
  const gate = new PasswordGate();
  const hash = await hashPassword('right');
  const all = await Promise.allSettled(
    Array.from({ length: 150 }, () => gate.verify('right', hash)),
  );
  const refused = all.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(150 - 102);
  expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({ code: 'BUSY' });
  expect(await gate.verify('right', hash)).toBe(true);
});

test('an endless password is refused before any work', async () => {
  const gate = new PasswordGate();
  await expect(gate.verify('x'.repeat(1_025), undefined)).rejects.toThrow('at most 1024 bytes');
});
