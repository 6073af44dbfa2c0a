import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { merge } from './merge.js';

function file(
  path: string,
  values: Record<string, string>,
  more: Partial<config.ConfigFile> = {},
): config.ConfigFile {
  const sections = new Map<string, config.ConfigEntry[]>();
  for (const [place, raw] of Object.entries(values)) {
    const [section = '', key = ''] = place.split('.');
    sections.set(section, [...(sections.get(section) ?? []), { key, type: 'string', raw }]);
  }
  const named = [...sections].map(([name, entries]) => ({ name, entries }));
  return { path, sections: named, schema: '', parent: '', ...more };
}

const BASE = [
  file('/a.conf', { 'DEFAULT.x': '1', 'A.y': '1' }),
  file('/b.conf', { 'DEFAULT.z': '1' }),
];

test('changes of both sides come together', () => {
  const ours = [file('/a.conf', { 'DEFAULT.x': '2', 'A.y': '1' }), BASE[1] as config.ConfigFile];
  const theirs = [
    file('/a.conf', { 'DEFAULT.w': '1', 'DEFAULT.x': '1' }, { schema: '{}' }),
    file('/c.conf', { 'B.k': '1' }, { parent: '/a.conf' }),
  ];
  expect(merge(BASE, ours, theirs)).toEqual({
    files: [
      file('/a.conf', { 'DEFAULT.w': '1', 'DEFAULT.x': '2' }, { schema: '{}' }),
      file('/c.conf', { 'B.k': '1' }, { parent: '/a.conf' }),
    ],
    clashes: [],
  });
});

test('the same change on both sides is no clash', () => {
  const same = [file('/a.conf', { 'DEFAULT.x': '2' })];
  expect(merge(BASE, same, same)).toEqual({ files: same, clashes: [] });
});

test('DEFAULT stays the first section', () => {
  const { files } = merge(
    [],
    [file('/a.conf', { 'A.y': '1' })],
    [file('/a.conf', { 'DEFAULT.x': '1' })],
  );
  expect(files[0]?.sections.map(({ name }) => name)).toEqual(['DEFAULT', 'A']);
});

test('every place that both changed is named', () => {
  const ours = [
    file('/a.conf', { 'DEFAULT.x': '2', 'A.y': '1' }, { parent: '/b.conf' }),
    file('/b.conf', { 'DEFAULT.z': '1' }),
  ];
  const theirs = [
    file('/a.conf', { 'DEFAULT.x': '3', 'A.y': '1' }, { parent: '/c.conf' }),
    file('/b.conf', { 'DEFAULT.z': '1' }),
  ];
  expect(merge(BASE, ours, theirs).clashes).toEqual(['/a.conf [DEFAULT] x', 'parent of /a.conf']);
});

test('a file that one side took away and the other added to is a clash', () => {
  const ours = [BASE[0] as config.ConfigFile];
  const theirs = [
    BASE[0] as config.ConfigFile,
    file('/b.conf', { 'DEFAULT.new': '1', 'DEFAULT.z': '1' }),
  ];
  expect(merge(BASE, ours, theirs).clashes).toEqual(['/b.conf [DEFAULT] new']);
});
