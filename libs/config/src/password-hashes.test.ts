import { hashPassword, verifyPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import { createPasswordHashes } from './index.js';

test('a password that did not change keeps the hash that is in force', async () => {
  const inForce = await hashPassword('same');
  const hashes = createPasswordHashes(() => inForce);
  expect(await hashes.hash('paid', 'password', 'same')).toBe(inForce);
  const other = await hashes.hash('paid', 'password', 'other');
  expect(other).not.toBe(inForce);
  expect(await verifyPassword('other', other)).toBe(true);
});

test('a password that is not in force yet is hashed once', async () => {
  const hashes = createPasswordHashes();
  const first = await hashes.hash('paid', 'password', 'new');
  expect(await hashes.hash('paid', 'password', 'new')).toBe(first);
  expect(await hashes.hash('sent', 'password', 'new')).not.toBe(first);
});

test('the hash that another keeper made of the same password wins over our own', async () => {
  let inForce: string | undefined;
  const hashes = createPasswordHashes(() => inForce);
  const ours = await hashes.hash('paid', 'password', 'same');
  inForce = await hashPassword('same');
  expect(await hashes.hash('paid', 'password', 'same')).toBe(inForce);
  inForce = ours;
  expect(await hashes.hash('paid', 'password', 'same')).toBe(ours);
});

test('a hash stays as it is', async () => {
  const made = await hashPassword('made before');
  expect(await createPasswordHashes().hash('paid', 'password', made)).toBe(made);
});
