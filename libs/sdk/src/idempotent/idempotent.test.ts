import { expect, test } from 'vitest';
import { AlreadyRunningException } from '../exceptions.js';
import { idempotent } from './idempotent.js';
import { memoryStore } from './memory-store.js';

test('work is done once, and its first result is kept', async () => {
  const once = idempotent(memoryStore());
  expect(await once('a', () => ({ n: 1 }))).toEqual({ n: 1 });
  expect(await once('a', () => ({ n: 2 }))).toEqual({ n: 1 });
  expect(await once('b', () => undefined)).toBeNull();
  expect(await once('big', () => 1n)).toBeNull();
});

test('who comes while another is at it hears it, with the time to come again', async () => {
  const once = idempotent(memoryStore());
  await once('a', async () => {
    const second = once('a', () => 2, { lease: '5s' });
    await expect(second).rejects.toBeInstanceOf(AlreadyRunningException);
    await expect(second).rejects.toMatchObject({ afterMs: 5_000 });
  });
});

test('work that fails may be tried again, and a lease that is over is taken', async () => {
  const store = memoryStore();
  const once = idempotent(store);
  const fail = () => Promise.reject(new Error('no'));
  await expect(once('a', fail)).rejects.toThrow('no');
  expect(await once('a', () => 1)).toBe(1);
  await store.claim('b', 'of one that died', 0);
  expect(await once('b', () => 2)).toBe(2);
});

test('what is done is forgotten after its time', async () => {
  const once = idempotent(memoryStore());
  await once('a', () => 1, { ttl: '0ms' });
  expect(await once('a', () => 2)).toBe(2);
});
