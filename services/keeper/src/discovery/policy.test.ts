import { readFileSync } from 'node:fs';
import type { config } from '@malabar/contracts';
import { parseIni } from '@malabar/typed-config';
import { expect, test } from 'vitest';
import { policyFile } from './discovery.suite.js';
import { policyFaults } from './policy.js';

const good: config.ConfigFile = policyFile('shop.till', {
  DEFAULT: {
    algorithm: ['string', 'least_in_flight'],
    protect_below: ['float64', '0'],
    zone_weights: ['json', '{"a": {"a": 1}, "b": {}}'],
  },
  'host-1:80': { weight: ['int', '10000'], online: ['bool', 'true'] },
});

test('a policy has no fault', () => {
  expect(policyFaults([good])).toEqual([]);
});

test.each<[string, string, [type: string, raw: string], RegExp]>([
  ['DEFAULT', 'algorithm', ['string', 'fastest'], /"fastest" is none of random, round_robin/],
  ['DEFAULT', 'algorithm', ['json', '"random"'], /has the type string/],
  ['DEFAULT', 'protect_below', ['float64', '1.5'], /1\.5 is not between 0 and 1/],
  ['DEFAULT', 'protect_below', ['float64', 'half'], /half/],
  ['DEFAULT', 'zone_weights', ['json', '[1]'], /zone_weights is \{/],
  ['DEFAULT', 'zone_weights', ['json', '{"a": 5}'], /zone_weights is \{/],
  ['DEFAULT', 'zone_weights', ['json', '{"a": {"b": 0.5}}'], /whole numbers/],
  ['DEFAULT', 'zone_weights', ['json', '{"a": {"b": -1}}'], /-1 is not between/],
  ['DEFAULT', 'weight', ['int', '1'], /no such key; here are algorithm/],
  ['DEFAULT', 'toString', ['int', '1'], /no such key/],
  ['host-1', 'weight', ['int', '-1'], /-1 is not between 0 and 10000/],
  ['host-1', 'weight', ['string', '1'], /has the type int/],
  ['host-1', 'online', ['bool', 'maybe'], /maybe/],
  ['host-1', 'algorithm', ['string', 'random'], /here are weight, online/],
])('section %s, key %s: %j is a fault', (section, key, entry, message) => {
  const faults = policyFaults([good, policyFile('shop', { [section]: { [key]: entry } })]);
  expect(faults).toEqual([
    { file: '/shop.conf', section, key, line: 0, message: expect.stringMatching(message) },
  ]);
});

test('the example of docs/discovery.md is a policy', () => {
  const page = readFileSync(new URL('../../../../docs/discovery.md', import.meta.url), 'utf8');
  const [, example = ''] = /```ini\n([^`]+)```/.exec(page) ?? [];
  const { sections, faults, warnings } = parseIni('/shop.checkout.conf', example);
  expect([...faults, ...warnings]).toEqual([]);
  expect(sections.map(({ name }) => name)).toEqual(['DEFAULT', 'checkout-1']);
  expect(policyFaults([{ ...good, path: '/shop.checkout.conf', sections }])).toEqual([]);
});

test('a file in a folder is the policy of no service', () => {
  expect(policyFaults([{ ...good, path: '/east/shop.conf' }])).toMatchObject([
    { file: '/east/shop.conf', message: expect.stringContaining('/<service>.conf') },
  ]);
});
