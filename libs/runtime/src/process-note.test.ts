import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import {
  leaveProcessNote,
  type ProcessNote,
  readProcessNotes,
  takeProcessNote,
} from './process-note.js';

const facts = (node: string, ...services: ProcessNote['services']): ProcessNote => ({
  node,
  services,
  grpcAddress: '127.0.0.1:7402',
  opsAddress: '127.0.0.1:7492',
  startedAtMs: 1,
});

test('processes of a data folder are found by what they wrote, until they end', async () => {
  const data = tempDir('data');
  expect(await readProcessNotes(data)).toEqual([]);
  const [ingest, storage] = [facts('a', 'ingest'), facts('b', 'storage', 'dispatcher')];
  await leaveProcessNote(data, ingest);
  await leaveProcessNote(data, storage);
  writeFileSync(join(data, 'run', 'broken.json'), '{');
  expect(await readProcessNotes(data)).toEqual([ingest, storage]);
  await takeProcessNote(data, ingest);
  expect(await readProcessNotes(data)).toEqual([storage]);
});

test('a process that ends late leaves the file of the one after it', async () => {
  const data = tempDir('data');
  await leaveProcessNote(data, facts('old', 'ingest'));
  await leaveProcessNote(data, facts('new', 'ingest'));
  await takeProcessNote(data, facts('old', 'ingest'));
  expect(await readProcessNotes(data)).toMatchObject([{ node: 'new' }]);
});
