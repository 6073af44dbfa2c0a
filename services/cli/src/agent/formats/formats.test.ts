import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, packages, php, tempDir } from '@malabar/testkit';
import { parseIni } from '@malabar/typed-config';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { FORMATS } from '../format.js';
import { everything, value } from './values.suite.js';

const expected = {
  app: {
    text: `it's "quoted" \\ \${x} $y #;: ~\ttab`,
    lines: 'one\r\ntwo\n\n  three ',
    odd: '\u0001\u0085\u2028\ufeff\u00e9\u{1f600}',
    empty: '',
    yes: 'yes',
    on: true,
    port: -6380,
    ratio: 1000,
    small: 1e-9,
    texts: ['a', '', 'b c'],
    ratios: [1, 2.5],
    none: [],
    city: { jinan: 'sd', 2: 'x:y' },
    names: { 7: 'seven' },
    masters: { 0: ['h1:1527', 'h2'], 1: ['h3'] },
    set: { a: {}, b: {} },
    sleep: 5_400_000_000_000,
    password: "s3cret' => 1",
  },
  bare: {},
  'other-1': { '127.0.0.1:80': false },
};

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1;
}

test('json is what JSON.parse reads, with all digits of an int64', () => {
  const text = FORMATS.json(everything);
  expect(JSON.parse(text)).toMatchObject(expected);
  expect(text).toContain('"least": -9223372036854775808');
  expect(FORMATS.json([])).toBe('{}\n');
});

test.each(['1.1', '1.2'] as const)('yaml is the same for a reader of YAML %s', (version) => {
  const text = FORMATS.yaml(everything);
  expect(parse(text, { version })).toMatchObject(expected);
  const { app } = parse(text, { version, intAsBigInt: true });
  expect(app).toMatchObject({
    least: -9223372036854775808n,
    most: 9223372036854775807n,
    ids: [9223372036854775807n, 1n],
    ratio: 1000,
    ratios: [1, 2.5],
    addr: { http: '1:/x', n: [1, 12345678901234567890n, 1000], z: null },
  });
  expect(parse(FORMATS.yaml([]), { version })).toEqual({});
});

test('ini keeps types and texts as they are', () => {
  const { sections, faults } = parseIni('/app.conf', FORMATS.ini(everything));
  expect(faults).toEqual([]);
  const written = everything.map(({ name, values }) => ({
    name,
    entries: values.map(({ key, type, raw }) => ({ key, type, raw })).sort(byKey),
  }));
  expect(sections).toEqual(written);
});

needs(test, await packages.php())('php is an array with the same values and types', async () => {
  const file = join(tempDir('agent'), 'app.php');
  writeFileSync(file, FORMATS.php(everything));
  const code = 'echo json_encode(require $argv[1], JSON_PRESERVE_ZERO_FRACTION);';
  const { stdout, stderr } = await php(['-d', 'serialize_precision=-1', '-r', code, file]);
  expect(stderr).toBe('');
  const { app, ...rest } = JSON.parse(stdout);
  expect(rest).toEqual({ bare: [], 'other-1': expected['other-1'] });
  // An array of PHP does not say whether it is a list or a map.
  expect(app).toMatchObject({
    ...expected.app,
    set: { a: [], b: [] },
    masters: [['h1:1527', 'h2'], ['h3']],
  });
  expect(stdout).toContain('"least":-9223372036854775808,"most":9223372036854775807');
  expect(stdout).toContain('"ratio":1000.0');
  expect(stdout).toContain('"n":[1.0,1.2345678901234567e+19,1000.0]');
});

test('a value of a megabyte is no trouble', () => {
  const raw = JSON.stringify({ text: 'x\\"y'.repeat(300_000) });
  const file = { name: 'big', values: [value('big', 'json', raw)] };
  expect(parse(FORMATS.yaml([file])).big.big).toEqual(JSON.parse(raw));
  expect(FORMATS.php([file]).length).toBeGreaterThan(1_000_000);
});
