import { eventually, FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { Credentials, WRONG_PASSWORD_DELAY_MS } from './credentials.js';

function start(verify: (password: string, hash: string) => Promise<boolean>) {
  const clock = new FakeClock();
  return { clock, credentials: new Credentials({ clock, key: Buffer.alloc(32), verify }) };
}

test('a password that was right once costs no scrypt again, and a wrong one none either', async () => {
  let checks = 0;
  const { clock, credentials } = start(async (password) => {
    checks++;
    return password === 'right';
  });
  expect(await credentials.check('right', 'h')).toBe(true);
  expect(credentials.check('right', 'h')).toBe(true);
  const wrong = credentials.check('wrong', 'h');
  await clock.advance(WRONG_PASSWORD_DELAY_MS);
  expect(await wrong).toBe(false);
  expect(checks).toBe(1);
  credentials.keep(new Set(['other']));
  expect(await credentials.check('right', 'h')).toBe(true);
  expect(checks).toBe(2);
});

test('few checks run at once, and too many waiting ones are refused', async () => {
  let running = 0;
  const release: Array<(right: boolean) => void> = [];
  const { credentials } = start(() => {
    running++;
    return new Promise((resolve) => release.push(resolve));
  });
  const checks = Array.from({ length: 66 }, () => credentials.check('p', 'h'));
  await eventually(() => running === 2);
  await expect(credentials.check('p', 'h')).rejects.toMatchObject({ code: 'BUSY' });
  for (const go of release.splice(0)) go(true);
  expect(await Promise.all(checks)).not.toContain(false);
  expect(running).toBe(2);
});
