import { expect, test } from 'vitest';
import { grants } from './people.suite.js';
import { allowed, allowedSomewhere } from './principal.js';
import { includes, intersection, ROLES, type RoleName } from './role.js';

const INCLUDED: Record<RoleName, RoleName[]> = {
  node: ['node'],
  viewer: ['viewer'],
  developer: ['viewer', 'developer'],
  operator: ['viewer', 'developer', 'operator'],
  admin: ['node', 'viewer', 'developer', 'operator', 'admin'],
};

test.each(Object.keys(ROLES) as RoleName[])(
  '%s includes what comes before, node is apart',
  (held) => {
    const names = Object.keys(ROLES) as RoleName[];
    expect(names.filter((wanted) => includes(ROLES[held], ROLES[wanted]))).toEqual(INCLUDED[held]);
  },
);

test('a right counts in its system and nowhere else', () => {
  const ann = { grants: grants('shop:operator', 'crm:viewer') };
  expect(allowed(ann, ROLES.operator, 'shop')).toBe(true);
  expect(allowed(ann, ROLES.operator, 'crm')).toBe(false);
  expect(allowed(ann, ROLES.viewer, 'crm')).toBe(true);
  expect(allowed(ann, ROLES.viewer, 'bank')).toBe(false);
  expect(allowedSomewhere(ann, ROLES.operator)).toBe(true);
  expect(allowedSomewhere(ann, ROLES.admin)).toBe(false);
});

test('a right on * counts everywhere, a right in one system not on *', () => {
  expect(allowed({ grants: grants('*:viewer') }, ROLES.viewer, 'shop')).toBe(true);
  expect(allowed({ grants: grants('*:viewer') }, ROLES.viewer, '')).toBe(true);
  expect(allowed({ grants: grants('shop:admin') }, ROLES.viewer, '*')).toBe(false);
  expect(allowed({ grants: grants('shop:admin') }, ROLES.viewer, '')).toBe(false);
});

test.each([
  [['*:admin'], ['shop:viewer'], ['shop:viewer']],
  [['shop:viewer'], ['*:operator'], ['shop:viewer']],
  [['shop:operator'], ['shop:viewer'], ['shop:viewer']],
  [['shop:operator'], ['crm:operator'], []],
  [['shop:operator', '*:viewer'], ['*:developer'], ['shop:developer', '*:viewer']],
  [['*:node'], ['*:operator'], []],
  [['*:node'], ['*:admin'], ['*:node']],
  [['*:viewer'], ['*:viewer', 'shop:viewer'], ['*:viewer']],
  [[], ['*:admin'], []],
])('%j and %j allow both %j', (some, others, shared) => {
  expect(intersection(grants(...some), grants(...others))).toEqual(grants(...shared));
});
