import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { parseIni } from './ini/parse.js';
import { domainFault, keyFault, pathFault, sectionFault } from './names.js';
import { sampleFiles } from './sample.suite.js';
import { reviewFiles, validateFiles } from './validate.js';

const LIMITS = { keys: 10_000, files: 1_000, value: 1024 ** 2 };

function file(path: string, text = '', parent = ''): config.ConfigFile {
  return { path, sections: parseIni(path, text).sections, parent, schema: '' };
}

function entriesFile(...entries: config.ConfigEntry[]): config.ConfigFile {
  return { path: '/a.conf', sections: [{ name: 'DEFAULT', entries }], parent: '', schema: '' };
}

function faultsOf(files: readonly config.ConfigFile[], limits = LIMITS): string[] {
  return validateFiles(files, limits).map(
    (fault) => `${fault.file} [${fault.section}] ${fault.key}: ${fault.message}`,
  );
}

test('the samples have no fault', () => {
  expect(faultsOf(sampleFiles.map(({ path, text }) => file(path, text)))).toEqual([]);
});

test.each(['a', 'a-b_c.d', 'A9', 'x'.repeat(128)])('%j is a name', (name) => {
  for (const fault of [domainFault, sectionFault, keyFault]) expect(fault(name)).toBeUndefined();
});

test.each(['', '.', '..', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(129), '\u202e', '*'])(
  '%j is no name',
  (name) => {
    for (const fault of [domainFault, sectionFault, keyFault]) expect(fault(name)).toBeDefined();
  },
);

test('sections and keys may be named after a node', () => {
  expect([sectionFault('127.0.0.1:80'), keyFault('a@b:1')]).toEqual([undefined, undefined]);
  expect(domainFault('a:b')).toBe('domain name "a:b" has characters other than A-Z a-z 0-9 _ . -');
});

test.each([
  ['/a.conf', undefined],
  ['/a/b-c/d_e.x.CONF', undefined],
  ['a.conf', "does not begin with '/'"],
  ['/a', "does not end with '.conf'"],
  ['/../a.conf', "begins with '.'"],
  ['/.a.conf', "begins with '.'"],
  ['//a.conf', 'empty name'],
  ['/a b.conf', 'characters other than'],
  [`/${'x'.repeat(129)}.conf`, 'more than 128 characters'],
  [`${'/x'.repeat(300)}.conf`, 'at most 512'],
])('the path %j: %s', (path, fault) => {
  if (fault === undefined) expect(pathFault(path)).toBeUndefined();
  else expect(pathFault(path)).toContain(fault);
});

test('names, types and values are told with their place', () => {
  const files = [
    entriesFile(
      { key: 'a/b', type: 'string', raw: '' },
      { key: 'k', type: 'text', raw: '' },
      { key: 'n', type: 'int', raw: 'x' },
      { key: 'n', type: 'int', raw: '1' },
    ),
  ];
  expect(faultsOf(files)).toEqual([
    '/a.conf [DEFAULT] n: this name is there twice',
    expect.stringMatching(/^\/a.conf \[DEFAULT\] a\/b: key name/),
    expect.stringMatching(/^\/a.conf \[DEFAULT\] k: 'text' is not a type/),
    '/a.conf [DEFAULT] n: "x" is not an int, e.g. 8 or -1',
  ]);
});

test('a parent is there, and nobody is his own', () => {
  expect(faultsOf([file('/a.conf', '', '/b.conf')])).toEqual([
    '/a.conf [] parent: the parent /b.conf is not a file of this domain',
  ]);
  expect(faultsOf([file('/a.conf', '', '/a.conf')])).toEqual([
    '/a.conf [] parent: a file inherits from itself: /a.conf -> /a.conf',
  ]);
  expect(faultsOf([file('/a.conf', '', '/b.conf'), file('/b.conf', '', '/a.conf')])).toEqual([
    '/a.conf [] parent: a file inherits from itself: /a.conf -> /b.conf -> /a.conf',
    '/b.conf [] parent: a file inherits from itself: /b.conf -> /a.conf -> /b.conf',
  ]);
});

test('a circle may close over a folder', () => {
  const files = [file('/a.conf', '', '/x/a.conf'), file('/x/a.conf'), file('/x/y/a.conf')];
  expect(faultsOf(files)).toEqual([
    '/a.conf [] parent: a file inherits from itself: /a.conf -> /x/a.conf -> /a.conf',
  ]);
});

test('what is beyond a limit is told with its name', () => {
  const keys = Array.from({ length: 10_001 }, (_, index) => ({
    key: `k${index}`,
    type: 'string',
    raw: '',
  }));
  expect(faultsOf([entriesFile(...keys.slice(1))])).toEqual([]);
  expect(faultsOf([entriesFile(...keys)])).toEqual([
    ' [] : the domain would have 10,001 keys; keeper.limits.keys is 10,000',
  ]);
  expect(faultsOf([file('/a.conf'), file('/b.conf')], { ...LIMITS, files: 1 })).toEqual([
    ' [] : the domain would have 2 files; keeper.limits.files is 1',
  ]);
});

test.each([
  [1024 ** 2, undefined],
  [1024 ** 2 + 1, 'value of 1,048,577 bytes; keeper.limits.value is 1 MiB'],
  [1.1 * 1024 ** 2, 'value of 1.1 MiB; keeper.limits.value is 1 MiB'],
])('a value of %d bytes', (size, fault) => {
  // Two bytes a letter: the limit is of bytes, not of letters.
  const raw = 'é'.repeat(Math.floor(size / 2)) + 'x'.repeat(Math.floor(size) % 2);
  const faults = faultsOf([entriesFile({ key: 'k', type: 'string', raw })]);
  expect(faults).toEqual(fault === undefined ? [] : [`/a.conf [DEFAULT] k: ${fault}`]);
});

test('a key of two types in files of one name is questionable', () => {
  const files = [
    file('/a.conf', 'k = 1\n[s]\nk int = 1'),
    file('/x/a.conf', 'k = 1'),
    file('/b.conf', 'k int = 1'),
  ];
  expect(reviewFiles(files)).toMatchObject([
    { file: '/a.conf', section: 's', key: 'k', message: 'int here, string in /a.conf [DEFAULT]' },
  ]);
});

test('ten thousand keys are validated in a few seconds at the very most', () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => ({
    key: `k${index}`,
    type: 'map[string]int',
    raw: 'a:1,b:2',
  }));
  const schema = JSON.stringify({ keys: { k1: { type: 'map[string]int', max: 3 } } });
  const startedAt = performance.now();
  expect(faultsOf([{ ...entriesFile(...keys), schema }])).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
