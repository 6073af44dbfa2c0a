import { expect, test } from 'vitest';
import { Releases } from './releases.js';

const release = (number: number) => ({ release: number, queues: [] });

test('a watcher gets the current release at once and then each newer one', async () => {
  const releases = new Releases(release(4));
  const watch = releases.watch(new AbortController().signal);
  expect((await watch.next()).value).toEqual(release(4));
  const next = watch.next();
  releases.publish(release(5));
  expect((await next).value).toEqual(release(5));
  await watch.return();
});

test('a slow reader gets the newest release, not every one', async () => {
  const releases = new Releases(release(1));
  const watch = releases.watch(new AbortController().signal);
  await watch.next();
  for (const number of [2, 3, 4]) releases.publish(release(number));
  expect((await watch.next()).value).toEqual(release(4));
  await watch.return();
});

test('a watcher that goes away is forgotten', async () => {
  const releases = new Releases(release(1));
  const leaving = new AbortController();
  const watch = releases.watch(leaving.signal);
  await watch.next();
  expect(releases.watchers).toBe(1);
  const next = watch.next();
  leaving.abort();
  expect((await next).done).toBe(true);
  expect(releases.watchers).toBe(0);
});

test('closing ends every watch and refuses new ones', async () => {
  const releases = new Releases(release(1));
  const watch = releases.watch(new AbortController().signal);
  await watch.next();
  const next = watch.next();
  releases.close();
  expect((await next).done).toBe(true);
  const late = releases.watch(new AbortController().signal);
  await expect(late.next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
