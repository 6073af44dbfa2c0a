import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { LastWill } from './last-will.js';

/** A process group of its own that ends by SIGKILL only. */
function stubborn(): number {
  const script = 'trap "" TERM; sleep 100 & wait; sleep 100';
  return spawn('/bin/sh', ['-c', script], { detached: true, stdio: 'ignore' }).pid as number;
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

test('groups that are left end with the process that wrote the will, others do not', async () => {
  const [left, forgotten, other] = [stubborn(), stubborn(), stubborn()];
  const will = new LastWill();
  for (const group of [left, forgotten, other]) will.add(group);
  will.forget(forgotten);
  will.close();
  await eventually(() => expect([left, other].map(isAlive)).toEqual([false, false]));
  expect(isAlive(forgotten)).toBe(true);
  process.kill(-forgotten, 'SIGKILL');
});
