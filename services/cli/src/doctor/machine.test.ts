import { expect, test } from 'vitest';
import { checkDescriptors, checkDisk, checkNode, descriptorLimit } from './machine.js';

test('a Node that is too old is named with what to install', () => {
  expect(checkNode('v20.19.0').ok).toBe(true);
  expect(checkNode('v24.0.0').ok).toBe(true);
  expect(checkNode('v20.18.3')).toMatchObject({ ok: false, todo: 'install Node 20.19 or later' });
});

test('the descriptor limit is compared with the producers that may connect', () => {
  expect(checkDescriptors('unlimited', 20_000).ok).toBe(true);
  expect(checkDescriptors(65_536, 20_000).ok).toBe(true);
  expect(checkDescriptors(1_024, 20_000)).toMatchObject({ ok: false, seen: '1,024 of 21,000' });
});

test('the limit of this process is known', () => {
  const limit = descriptorLimit();
  expect(limit === 'unlimited' || limit > 0).toBe(true);
});

test('the disk of a folder that does not exist yet is that of its nearest parent', async () => {
  const { seen } = await checkDisk('/nowhere/at/all');
  expect(seen).toMatch(/free at \/$/);
});
