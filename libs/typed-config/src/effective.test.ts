import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { checksumOf, effective } from './effective.js';
import { parseIni } from './ini/parse.js';
import { sampleFiles } from './sample.suite.js';

function file(path: string, text: string, parent = ''): config.ConfigFile {
  return { path, sections: parseIni(path, text).sections, parent, schema: '' };
}

function subscribe(path: string, options: Partial<config.Subscription> = {}): config.Subscription {
  return { file: path, section: '', verbatim: false, ...options };
}

/** `key=raw@file[section]` of all values of all files. */
function said(
  files: readonly config.ConfigFile[],
  subscriptions: config.Subscription[],
  nodeId = '',
): Record<string, string> {
  const lines = effective(files, { nodeId, subscriptions }).map(({ name, section, values }) => [
    name + (section && `[${section}]`),
    values.map((each) => `${each.key}=${each.raw}@${each.file}[${each.section}]`).join(' '),
  ]);
  return Object.fromEntries(lines);
}

const files = sampleFiles.map(({ path, text }) => file(path, text));

test('a file is the DEFAULT of all files of its name on the way to it', () => {
  expect(said(files, [subscribe('/global.conf')])).toEqual({
    global: 'a=1@/global.conf[DEFAULT] b=1@/global.conf[DEFAULT] c=1@/global.conf[DEFAULT]',
  });
  expect(said(files, [subscribe('/zy/global.conf')])).toEqual({
    global: 'a=1@/global.conf[DEFAULT] b=2@/zy/global.conf[DEFAULT] c=1@/global.conf[DEFAULT]',
  });
});

test('a section lies over DEFAULT; a parent’s section of that name is not inherited', () => {
  expect(said(files, [subscribe('/zy/global.conf', { section: 'SEC' })]).global).toBe(
    'a=1@/global.conf[DEFAULT] b=2@/zy/global.conf[DEFAULT] ' +
      'c=3@/zy/global.conf[SEC] d=3@/zy/global.conf[SEC]',
  );
});

test('the section that is named like the node lies over everything', () => {
  const wanted = subscribe('/zy/global.conf', { section: 'SEC' });
  const { global } = said(files, [wanted], '10.0.0.1:80');
  expect(global).toContain('c=4@/zy/global.conf[10.0.0.1:80]');
  expect(global).toContain('d=3@/zy/global.conf[SEC]');
});

test('subscriptions of one base name are one file, the later over the earlier', () => {
  const other = file('/x/global.conf', 'a = 9');
  const wanted = [subscribe('/zy/global.conf'), subscribe('/x/global.conf')];
  expect(said([...files, other], wanted)).toEqual({
    global: 'a=9@/x/global.conf[DEFAULT] b=1@/global.conf[DEFAULT] c=1@/global.conf[DEFAULT]',
  });
});

test('a parent takes the place of the folders', () => {
  const base = file('/base/redis.conf', 'a = base\nb = base\n[s]\nb = no');
  const chosen = file('/zone/app.conf', 'b = own', '/base/redis.conf');
  const folder = file('/app.conf', 'a = folder');
  const below = file('/zone/one/app.conf', 'c = 1');
  const all = [base, chosen, folder, below];
  expect(said(all, [subscribe('/zone/app.conf')]).app).toBe(
    'a=base@/base/redis.conf[DEFAULT] b=own@/zone/app.conf[DEFAULT]',
  );
  expect(said(all, [subscribe('/zone/one/app.conf')]).app).toContain('a=base@/base/redis.conf');
});

test('a path without its first slash is the same', () => {
  expect(said(files, [subscribe('zy/global.conf')])).toEqual(
    said(files, [subscribe('/zy/global.conf')]),
  );
});

test('what is not there contributes nothing', () => {
  expect(said(files, [subscribe('/none.conf', { section: 'x' })], 'node')).toEqual({ none: '' });
  expect(said(files, [subscribe('/zy/deep/global.conf')]).global).toContain('b=2@/zy/global.conf');
});

test('a circle of parents, which no release has, ends', () => {
  const circle = [file('/a.conf', 'a = 1', '/b.conf'), file('/b.conf', 'b = 1', '/a.conf')];
  expect(said(circle, [subscribe('/a.conf')]).a).toBe('a=1@/a.conf[DEFAULT] b=1@/b.conf[DEFAULT]');
});

test('verbatim sections stand each for itself', () => {
  expect(said(files, [subscribe('/zy/global.conf', { verbatim: true })])).toEqual({
    '/zy/global.conf[DEFAULT]': 'b=2@/zy/global.conf[DEFAULT]',
    '/zy/global.conf[10.0.0.1:80]': 'c=4@/zy/global.conf[10.0.0.1:80]',
    '/zy/global.conf[SEC]': 'c=3@/zy/global.conf[SEC] d=3@/zy/global.conf[SEC]',
  });
  const everything = effective(files, {
    nodeId: '',
    subscriptions: [subscribe('*', { verbatim: true })],
  });
  const sections = files.reduce((sum, each) => sum + each.sections.length, 0);
  expect(everything).toHaveLength(sections);
});

test('a value comes with its JSON', () => {
  const [types] = effective(files, { nodeId: '', subscriptions: [subscribe('/types.conf')] });
  const json = Object.fromEntries(types?.values.map((value) => [value.key, value.json]) ?? []);
  expect(json).toMatchObject({ sleep: '5400000000000', blocked: '{"10.0.0.1":{},"10.0.0.2":{}}' });
});

test('equal content has an equal checksum, whatever its order and origin', () => {
  const of = (text: string, path = '/a.conf') =>
    checksumOf(effective([file(path, text)], { nodeId: '', subscriptions: [subscribe(path)] }));
  expect(of('a = 1\nb = 2')).toBe(of('b = 2\na = 1', '/x/a.conf'));
  expect(new Set([of('a = 1'), of('a int = 1'), of('a = 2'), of('b = 1'), of('')]).size).toBe(5);
  expect(of('')).toMatch(/^[0-9a-f]{64}$/);
});

test('ten thousand keys are laid over each other in a few seconds at the very most', () => {
  const line = (index: number) => `key_${index} map[string]string = a:${index},b:2`;
  const text = Array.from({ length: 10_000 }, (_, index) => line(index)).join('\n');
  const big = [file('/a.conf', text), file('/x/a.conf', text)];
  const startedAt = performance.now();
  effective(big, { nodeId: 'n', subscriptions: [subscribe('/x/a.conf')] });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
