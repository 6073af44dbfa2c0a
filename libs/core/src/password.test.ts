import { expect, test } from 'vitest';
import { hashPassword, isPasswordHash, verifyPassword } from './password.js';

test('a password verifies against its own hash and no other', async () => {
  const hash = await hashPassword('s3cret:with/punctuation$');
  expect(hash).toMatch(/^scrypt\$16384\$8\$1\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$/);
  expect(hash).not.toContain('s3cret');
  expect(await verifyPassword('s3cret:with/punctuation$', hash)).toBe(true);
  expect(await verifyPassword('s3cret', hash)).toBe(false);
  expect(await verifyPassword('', hash)).toBe(false);
});

test('two hashes of one password differ, because each has a salt of its own', async () => {
  expect(await hashPassword('same')).not.toBe(await hashPassword('same'));
});

test.each([
  '',
  'plain',
  'scrypt$',
  'scrypt$16384$8$1$$',
  'scrypt$16385$8$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$67108864$8$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA',
])('%j is no hash and matches nothing', async (text) => {
  expect(isPasswordHash(text)).toBe(false);
  expect(await verifyPassword('plain', text)).toBe(false);
});
