import { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { applyOperations } from './apply.js';
import { diffFiles } from './diff.js';
import { formatIni } from './ini/format.js';
import { MASK, maskFiles } from './mask.js';

type Case = NonNullable<config.Operation['operation']>;

function operations(...cases: Case[]): config.Operation[] {
  return cases.map((operation) => ({ operation }));
}

function setKey(file: string, key: string, raw: string, more: Partial<config.SetKey> = {}): Case {
  return { $case: 'setKey', value: { file, section: '', key, type: '', raw, ...more } };
}

function importFile(path: string, text: string): Case {
  return { $case: 'importFile', value: { path, text } };
}

function deleteKey(file: string, key: string, section = ''): Case {
  return { $case: 'deleteKey', value: { file, section, key } };
}

function deleteFile(path: string): Case {
  return { $case: 'deleteFile', value: { path } };
}

function putFile(file: config.ConfigFile | undefined): Case {
  return { $case: 'putFile', value: { file } };
}

function applied(files: readonly config.ConfigFile[], ...cases: Case[]): config.ConfigFile[] {
  const result = applyOperations(files, operations(...cases));
  expect(result.faults).toEqual([]);
  return result.files;
}

function faultOf(files: readonly config.ConfigFile[], ...cases: Case[]): string {
  const { files: after, faults } = applyOperations(files, operations(...cases));
  expect(after).toEqual(files);
  return faults
    .map((each) => `${each.file} [${each.section}] ${each.key}: ${each.message}`)
    .join('\n');
}

const before = applied(
  [],
  importFile('/b.conf', 'n int = 1\npw secret = hunter2\n[s]\nn int = 2'),
  importFile('/a.conf', 'x = 1'),
);

test('a new key makes its file and section; it is a string', () => {
  const files = applied([], setKey('/a.conf', 'k', 'v', { section: 's' }));
  expect(files).toEqual([
    {
      path: '/a.conf',
      parent: '',
      schema: '',
      sections: [{ name: 's', entries: [{ key: 'k', type: 'string', raw: 'v' }] }],
    },
  ]);
});

test('a key keeps its type unless another one is said', () => {
  expect(faultOf(before, setKey('/b.conf', 'n', 'x'))).toBe(
    '/b.conf [DEFAULT] n: "x" is not an int, e.g. 8 or -1',
  );
  const files = applied(before, setKey('/b.conf', 'n', '5s', { type: 'duration' }));
  expect(files[1]?.sections[0]?.entries[0]).toEqual({ key: 'n', type: 'time.Duration', raw: '5s' });
});

test('files are by path, untouched ones are the same objects, and nothing given is changed', () => {
  const copy = structuredClone(before);
  const files = applied(before, setKey('/b.conf', 'n', '3'), setKey('/0.conf', 'k', ''));
  expect(files.map(({ path }) => path)).toEqual(['/0.conf', '/a.conf', '/b.conf']);
  expect(files[1]).toBe(before[0]);
  expect(before).toEqual(copy);
});

test('the last key takes its section away', () => {
  const [, file] = applied(before, deleteKey('/b.conf', 'n', 's'));
  expect(file?.sections.map(({ name }) => name)).toEqual(['DEFAULT']);
});

test('all operations or none', () => {
  const cases = [
    setKey('/a.conf', 'x', '2'),
    deleteKey('/a.conf', 'none'),
    deleteFile('/none.conf'),
  ];
  expect(faultOf(before, ...cases)).toBe(
    '/a.conf [DEFAULT] none: there is no such key\n/none.conf [] : there is no such file',
  );
});

test.each<[name: string, operation: Case, fault: string]>([
  ['a path upwards', setKey('/../a.conf', 'k', ''), "begins with '.'"],
  ['a path of another kind', setKey('/a.txt', 'k', ''), "does not end with '.conf'"],
  ['no path', setKey('a.conf', 'k', ''), "does not begin with '/'"],
  ['two slashes', importFile('//a.conf', ''), 'has an empty name in it'],
  ['a slash in a section', setKey('/a.conf', 'k', '', { section: 'a/b' }), 'section name "a/b"'],
  ['dots in a key', setKey('/a.conf', '..', ''), 'is a path, not a name'],
  ['an unknown type', setKey('/a.conf', 'k', '', { type: 'text' }), "'text' is not a type"],
  ['a faulty text', importFile('/a.conf', 'k int = x'), '"x" is not an int'],
  [
    'a schema of no file',
    { $case: 'setSchema', value: { file: '/c.conf', schema: '{}' } },
    'no such file',
  ],
  [
    'a parent of no file',
    { $case: 'setParent', value: { file: '/c.conf', parent: '/a.conf' } },
    'no such file',
  ],
  ['no file to put', putFile(undefined), 'there is no file to put'],
  [
    'a mask without a secret',
    setKey('/a.conf', 'k', MASK, { type: 'secret' }),
    'and there is none',
  ],
  ['a mask over a string', setKey('/a.conf', 'x', MASK, { type: 'secret' }), 'and there is none'],
])('%s is a fault', (_name, operation, fault) => {
  expect(faultOf(before, operation)).toContain(fault);
});

test('an operation that says nothing is a fault', () => {
  const { faults } = applyOperations([], [{ operation: undefined }]);
  expect(faults).toMatchObject([{ message: 'an operation says nothing' }]);
});

test('a file with a key twice is a fault, each told', () => {
  const entry = { key: 'k', type: 'string', raw: '' };
  const sections = [{ name: '', entries: [entry, entry, { ...entry, key: 'l', type: 'x' }] }];
  expect(faultOf([], putFile({ path: '/a.conf', sections, parent: '', schema: '' }))).toMatch(
    /^\/a.conf \[DEFAULT\] k: the key is there twice\n\/a.conf \[DEFAULT\] l: 'x' is not a type/,
  );
});

test.each(['int', '[]bool', 'time.Duration', 'json'])(
  'a text in the place of a secret is not shown when it is no %s',
  (type) => {
    expect(faultOf(before, setKey('/b.conf', 'pw', 'hunter2', { type }))).toBe(
      `/b.conf [DEFAULT] pw: the text in the place of the secret is no ${type}`,
    );
  },
);

test('a masked secret is kept: one key, a put file, an imported text', () => {
  const [, masked] = maskFiles(before);
  expect(JSON.stringify(masked)).not.toContain('hunter2');
  const text = formatIni(masked as config.ConfigFile);
  for (const each of [
    setKey('/b.conf', 'pw', MASK),
    putFile(masked),
    importFile('/b.conf', text),
  ]) {
    expect(applied(before, each)).toEqual(before);
  }
});

test('an import replaces sections and keeps schema and parent', () => {
  const schema: Case = { $case: 'setSchema', value: { file: '/a.conf', schema: '{}' } };
  const parent: Case = { $case: 'setParent', value: { file: '/a.conf', parent: '/b.conf' } };
  const [file] = applied(before, schema, parent, importFile('/a.conf', 'y = 1'));
  expect(file).toMatchObject({ schema: '{}', parent: '/b.conf' });
  expect(file?.sections[0]?.entries).toEqual([{ key: 'y', type: 'string', raw: '1' }]);
});

test('a deleted file may come again in the same batch, without its past', () => {
  const cases = [deleteFile('/b.conf'), setKey('/b.conf', 'n', 'x')];
  expect(applied(before, ...cases)[1]?.sections).toEqual([
    { name: 'DEFAULT', entries: [{ key: 'n', type: 'string', raw: 'x' }] },
  ]);
});

test('warnings of an import come with their line, others without', () => {
  const cases = [
    importFile('/a.conf', '\nf map[string]bool = a:x\nu = x#y'),
    setKey('/a.conf', 'g', 'a:x', { type: 'map[string]bool' }),
  ];
  const { warnings } = applyOperations([], operations(...cases));
  expect(warnings.map(({ key, line }) => [key, line])).toEqual([
    ['f', 2],
    ['u', 3],
    ['g', 0],
  ]);
});

test('a batch of ten thousand keys takes a few seconds at the very most', () => {
  const cases = Array.from({ length: 10_000 }, (_, index) => setKey('/a.conf', `k${index}`, 'v'));
  const startedAt = performance.now();
  expect(applied(before, ...cases)[0]?.sections[0]?.entries).toHaveLength(10_001);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test('a diff is by file, section and key, and says what happened', () => {
  const schema: Case = { $case: 'setSchema', value: { file: '/a.conf', schema: '{}' } };
  const after = applied(
    before,
    schema,
    setKey('/b.conf', 'n', '9'),
    deleteKey('/b.conf', 'n', 's'),
    setKey('/c.conf', 'k', 'new'),
    importFile('/d.conf', ''),
  );
  const changes = diffFiles(before, after);
  const { ADDED, CHANGED, REMOVED } = config.ChangeKind;
  expect(changes.map(({ kind, file, section, key }) => [kind, file, section, key])).toEqual([
    [ADDED, '/a.conf', '', 'schema'],
    [CHANGED, '/b.conf', 'DEFAULT', 'n'],
    [REMOVED, '/b.conf', 's', 'n'],
    [ADDED, '/c.conf', 'DEFAULT', 'k'],
    [ADDED, '/d.conf', '', 'file'],
  ]);
  expect(changes[1]).toMatchObject({ before: { raw: '1' }, after: { raw: '9' } });
  expect(diffFiles(after, after)).toEqual([]);
  expect(diffFiles(before, structuredClone(before))).toEqual([]);
});

test('a diff never shows a secret, neither before nor after it was one', () => {
  const after = applied(
    before,
    setKey('/b.conf', 'pw', 'hunter3'),
    setKey('/a.conf', 'x', 'hunter4', { type: 'secret' }),
  );
  const changes = diffFiles(before, after);
  expect(changes).toMatchObject([
    { key: 'x', before: { type: 'string', raw: MASK }, after: { type: 'secret', raw: MASK } },
    { key: 'pw', before: { raw: MASK }, after: { raw: MASK } },
  ]);
  expect(diffFiles(before, after, (a, b) => a.key === 'pw' || a.raw === b.raw)).toHaveLength(1);
});
