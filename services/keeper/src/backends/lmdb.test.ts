import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FakeClock, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { backendSuite } from '../backend.suite.js';
import { createLmdbBackend } from './lmdb.js';
import { opened, put, putAll } from './testing/harness.js';

const newPath = () => join(tempDir('keeper'), 'store');

backendSuite({
  name: 'lmdb',
  async place() {
    const path = newPath();
    const clock = new FakeClock();
    return { backend: () => createLmdbBackend({ path, clock }), pass: (ms) => clock.advance(ms) };
  },
  lacks: {
    shared: 'one keeper has the file',
    outages: 'there is no server that could be away',
  },
});

test('a second keeper on the same folder is refused, naming the first', async () => {
  const path = newPath();
  await opened(createLmdbBackend({ path, clock: new FakeClock() }));
  const second = createLmdbBackend({ path, clock: new FakeClock() });
  await expect(second.open()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(`in use by .*\\b${process.pid}\\b`),
  });
});

test('nobody but its user may read the folder', async () => {
  const path = newPath();
  await opened(createLmdbBackend({ path, clock: new FakeClock() }));
  expect((statSync(path).mode & 0o777).toString(8)).toBe('700');
  expect((statSync(join(path, 'data.mdb')).mode & 0o777).toString(8)).toBe('600');
  expect(readdirSync(path)).toContain('owner');
});

test('a damaged file is refused, with what to do', async () => {
  const path = newPath();
  const clock = new FakeClock();
  const backend = await opened(createLmdbBackend({ path, clock }));
  await putAll(backend, { a: '1' });
  await backend.close();
  writeFileSync(join(path, 'data.mdb'), 'not a database');
  await expect(createLmdbBackend({ path, clock }).open()).rejects.toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(/backup.*move it away/),
  });
});

test('commits of one turn share a flush, and each has its own answer', async () => {
  const backend = await opened(createLmdbBackend({ path: newPath(), clock: new FakeClock() }));
  const [first, second, third, fourth] = await Promise.allSettled([
    backend.commit({ conditions: [{ key: 'a', revision: 0 }], puts: [put('a', '1')] }),
    backend.commit({ conditions: [{ key: 'a', revision: 0 }], puts: [put('a', '2')] }),
    backend.commit({ puts: [put('b', '', 'no lease')] }),
    backend.commit({ puts: [put('c')] }),
  ]);
  expect(first).toMatchObject({ value: 1 });
  expect(second).toMatchObject({ value: undefined });
  expect(third).toMatchObject({ reason: { code: 'NOT_FOUND' } });
  expect(fourth).toMatchObject({ value: 2 });
});
