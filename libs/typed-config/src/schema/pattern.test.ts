import { expect, test } from 'vitest';
import { JsonSchemas } from './json-schema.js';
import { linearPattern } from './pattern.js';

test.each([
  ['^[a-z0-9.-]+$', 'db-1.shop', 'db_1'],
  ['b', 'abc', 'xyz'],
  ['^\\p{L}+$', 'Łódź', 'x1'],
  ['^.$', '💥', 'ab'],
  ['^\\u{1F4A5}\\/$', '💥/', '💥'],
  ['^(?<year>\\d{4})-\\d\\d$', '2026-08', '2026-8'],
  ['(?i)^ok$', 'OK', 'no'],
])('%s matches %j and not %j', (pattern, yes, no) => {
  const expression = linearPattern(pattern);
  expect([expression.test(yes), expression.test(no)]).toEqual([true, false]);
});

// A backtracking engine needs more steps for each of these than there are atoms.
test.each(['^(a+)+$', '^(a|a)*$', '^([a-z]+)*=', '(a|aa)+$', '(.*a){900}b', '^(((a*)*)*)*$'])(
  '%s is matched in linear time',
  (pattern) => {
    const text = `${'a'.repeat(50_000)}!`;
    expect(linearPattern(pattern).test(text)).toBe(false);
    const value = { pattern: 'says nothing about another type', type: 'string' };
    const check = new JsonSchemas().compile({ ...value, pattern });
    expect(check(text)).toHaveLength(1);
  },
);

test.each([
  ['(', 'missing closing )'],
  ['a(?=b)', 'invalid or unsupported Perl syntax'],
  ['(?<!a)b', 'not an expression of RE2'],
  ['(a)\\1', 'invalid escape sequence'],
  ['a{1001}', 'invalid repeat count'],
  ['((a{100}){100}){100}', 'invalid repeat count'],
  ['x'.repeat(1001), 'an expression of 1001 characters; at most 1000'],
])('refused: %#', (pattern, reason) => {
  expect(() => linearPattern(pattern)).toThrow(reason);
});

test('the patterns of a JSON Schema are held to the same', () => {
  const compile = (schema: object) => () => new JsonSchemas().compile(schema);
  expect(compile({ pattern: '(?=x)' })).toThrow('not an expression of RE2');
  expect(compile({ patternProperties: { '(a)\\1': {} } })).toThrow('not an expression of RE2');
  const check = compile({ patternProperties: { '^x-': { type: 'string' } } })();
  expect(check({ 'x-a': 1, y: 2 })).toEqual(['/x-a: must be string']);
});
