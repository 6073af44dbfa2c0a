import type { config } from '@malabar/contracts';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { faultyCases, oddCases, sampleFiles } from '../sample.suite.js';
import { canonicalType, TYPE_NAMES, type TypeName } from '../types.js';
import { toJson, valueFault } from '../values.js';
import { formatIni } from './format.js';
import { parseIni } from './parse.js';

const DEFAULT = 'DEFAULT';

function entryOf(sections: readonly config.ConfigSection[], key: string): config.ConfigEntry {
  const entries = sections.flatMap((section) => section.entries);
  return entries.find((entry) => entry.key === key) as config.ConfigEntry;
}

test.each(sampleFiles)('$path is read without a word of complaint', ({ path, text }) => {
  expect(parseIni(path, text)).toMatchObject({ faults: [], warnings: [] });
});

test('the samples hold every type', () => {
  const sections = sampleFiles.flatMap(({ path, text }) => parseIni(path, text).sections);
  const types = new Set(sections.flatMap(({ entries }) => entries.map(({ type }) => type)));
  expect([...types].sort()).toEqual([...TYPE_NAMES].sort());
});

test.each(oddCases)('$name', ({ text, key, raw, json, gokeeper, warning }) => {
  const { sections, faults, warnings } = parseIni('/odd.conf', text);
  expect(faults).toEqual([]);
  const entry = entryOf(sections, key);
  expect(entry.raw).toBe(raw);
  if (json !== undefined) expect(toJson(entry.type as TypeName, raw)).toBe(json);
  const messages = warnings.map(({ message }) => message).join('\n');
  if (gokeeper !== undefined) {
    expect(messages).toContain(`gokeeper would read ${JSON.stringify(gokeeper)}`);
  }
  if (warning !== undefined) expect(messages).toContain(warning);
  if (gokeeper === undefined && warning === undefined) expect(messages).toBe('');
});

test.each(faultyCases)('$name is a fault', ({ text, line, message }) => {
  const { faults } = parseIni('/faulty.conf', text);
  expect(faults[0]).toMatchObject({ file: '/faulty.conf', line });
  expect(faults[0]?.message).toMatch(message);
});

test('bytes that are not UTF-8 are a fault', () => {
  const { faults } = parseIni('/a.conf', new Uint8Array([0x61, 0x3d, 0xff]));
  expect(faults[0]?.message).toBe('the text is not UTF-8');
});

test('every fault of a text is told, up to two hundred', () => {
  const text = 'a int = x\n'.repeat(3) + 'k = 1\n'.repeat(2);
  expect(parseIni('/a.conf', text).faults.map(({ line }) => line)).toEqual([1, 2, 3]);
  expect(parseIni('/a.conf', 'x\n'.repeat(5_000)).faults).toHaveLength(200);
});

test('no fault and no warning tells a word of a secret', () => {
  const texts = [
    'k secret = hunter2#hunter3',
    'k secret = `hunter2',
    'k secret = `hunter2` hunter3',
  ];
  for (const text of [
    ...texts,
    'k secret hunter2 = 1',
    'k secret hunter2',
    'k secret = hunter2\0',
  ]) {
    const { faults, warnings } = parseIni('/a.conf', text);
    expect(JSON.stringify([faults, warnings])).not.toContain('hunter');
  }
});

test('any text of any type is written and read back as it was', () => {
  const random = seededRandom(20);
  for (let round = 0; round < 20_000; round += 1) {
    const type = TYPE_NAMES[Math.floor(random() * TYPE_NAMES.length)] as TypeName;
    const raw = randomText(random);
    if (valueFault(type, raw) !== undefined) continue;
    const key = random() < 0.5 ? 'key' : 'a:b@c';
    expectRoundTrip({ key, type, raw });
  }
});

test.each(oddCases)('$name, written and read again', ({ text }) => {
  for (const { entries } of parseIni('/odd.conf', text).sections) entries.forEach(expectRoundTrip);
});

test('a text with both raw quotes in all its lines is joined from its lines', () => {
  const entry = { key: 'k', type: 'string', raw: 'a`"""\nb`"""' };
  expect(formatIni(fileOf(entry))).toBe('k = `a`"""`\\\n`b`"""`\n');
  expectRoundTrip(entry);
});

test('a file is written with DEFAULT first and read back whole', () => {
  for (const { path, text } of sampleFiles) {
    const { sections } = parseIni(path, text);
    const written = formatIni({ path, sections, parent: '', schema: '' });
    expect(parseIni(path, written)).toEqual({ sections, faults: [], warnings: [] });
  }
});

test('no bytes make the reader throw', () => {
  const random = seededRandom(7);
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = Uint8Array.from({ length: random() * 60 }, () => random() * 256);
    parseIni('/a.conf', bytes);
    parseIni('/a.conf', `k map[string]bool = ${randomText(random)}\n${randomText(random)}`);
  }
});

test('ten thousand keys are read in a few seconds at the very most', () => {
  const line = (index: number) => `key_${index} map[string][]string = a:1;b:2,3`;
  const text = Array.from({ length: 10_000 }, (_, index) => line(index)).join('\n');
  const startedAt = performance.now();
  expect(parseIni('/a.conf', text).sections[0]?.entries).toHaveLength(10_000);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

function fileOf(entry: config.ConfigEntry): config.ConfigFile {
  return {
    path: '/a.conf',
    sections: [{ name: DEFAULT, entries: [entry] }],
    parent: '',
    schema: '',
  };
}

function expectRoundTrip(entry: config.ConfigEntry): void {
  const text = formatIni(fileOf(entry));
  const { sections, faults } = parseIni('/a.conf', text);
  expect({ text, faults, sections }).toEqual({
    text,
    faults: [],
    sections: [{ name: DEFAULT, entries: [{ ...entry, type: canonicalType(entry.type) }] }],
  });
}

const PIECES = [
  '"',
  '"""',
  '`',
  "'",
  '#',
  ';',
  '\n',
  '\\',
  ' ',
  '=',
  ':',
  ',',
  '[',
  ']',
  '\r',
  '\t',
];
const WORDS = ['a', '1', 'true', '0', '{}', 'é', '日', '😀', '\uFEFF', '-', '{"a":"#"}', '1h'];

function randomText(random: () => number): string {
  const pool = random() < 0.5 ? [...PIECES, ...WORDS] : [...WORDS, ',', ':', ';'];
  const pick = () => pool[Math.floor(random() * pool.length)];
  return Array.from({ length: random() * 9 }, pick).join('');
}
