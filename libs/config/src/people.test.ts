import { access } from '@malabar/contracts';
import { isPasswordHash, verifyPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import { createPasswordHashes, peopleSections, printConfig, readConfig } from './index.js';
import { ROLE_NAMES } from './people.js';

const FILE = `
systems: { shop: }
people:
  ann: { password: { secret: env:ANN }, grants: { shop: operator, '*': viewer } }
  bob: { disabled: true }
`;

function sections(text: string, env: Record<string, string> = {}) {
  const hashes = createPasswordHashes();
  return peopleSections(readConfig({ file: 'f', text }), { env, hashes });
}

test('people are sections of users.conf, with hashes for passwords', async () => {
  const [ann, bob] = (await sections(FILE, { ANN: 'tell nobody' })) ?? [];
  const password = ann?.entries.find(({ key }) => key === 'password');
  expect(password?.type).toBe('secret');
  expect(isPasswordHash(password?.raw ?? '')).toBe(true);
  expect(await verifyPassword('tell nobody', password?.raw ?? '')).toBe(true);
  expect(ann?.entries.filter(({ key }) => key !== 'password')).toEqual([
    { key: 'disabled', type: 'bool', raw: 'false' },
    { key: 'grants', type: 'map[string]string', raw: '*:viewer,shop:operator' },
    { key: 'source', type: 'string', raw: 'file' },
  ]);
  expect(bob?.entries.map(({ key, raw }) => [key, raw])).toEqual([
    ['disabled', 'true'],
    ['grants', ''],
    ['source', 'file'],
  ]);
});

test('a file that does not speak of people decides nothing about them', async () => {
  expect(await sections('queues: { }')).toBeUndefined();
  expect(await sections('people: { }')).toEqual([]);
});

test('the roles are those of the contract', () => {
  const roles = Object.keys(access.Role).filter((name) => Number.isNaN(Number(name)));
  const ours = ROLE_NAMES.map((name) => name.toUpperCase());
  expect(roles.filter((name) => name !== 'UNSPECIFIED' && name !== 'UNRECOGNIZED')).toEqual(ours);
});

test('each fault has its place', () => {
  const text = `
systems: { shop: }
people:
  ann: { grants: { shop: operater, shpo: viewer } }
  bob: { grants: [shop] }
  'a:b': { }
  cyd: { pasword: x }
`;
  expect(() => readConfig({ file: 'f', text })).toThrow(
    [
      `f:4:20: people.ann.grants.shop: 'operater' is not one of node, viewer, developer, operator, admin; did you mean 'operator'?`,
      `f:4:36: people.ann.grants.shpo: 'shpo' is not one of systems; did you mean 'shop'?`,
      `f:5:10: people.bob.grants: a list is not a mapping of systems to roles`,
      `f:6:3: people.a:b: a name of a user has only letters, digits, _ . -`,
      `f:7:10: people.cyd.pasword: unknown key; did you mean 'password'?`,
    ].join('\n'),
  );
});

test('a password that cannot be read is named, and not shown', async () => {
  await expect(sections(FILE)).rejects.toThrow(
    'f:4:10: people.ann.password: the variable of env:ANN is not set',
  );
});

test('the effective configuration shows people without their passwords', () => {
  const text = FILE.replace('{ secret: env:ANN }', 'plain-password');
  const shown = printConfig(readConfig({ file: 'f', text }).config);
  expect(shown).not.toContain('plain-password');
  expect(shown).toContain('password: "[secret]"\n    grants:\n      shop: operator');
});
