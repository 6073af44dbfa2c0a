import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { parseIni } from '../ini/parse.js';
import { validateFiles } from '../validate.js';
import type { FileSchema, KeySchema } from './document.js';

const LIMITS = { keys: 10_000, files: 1_000, value: 1024 ** 2 };

function file(path: string, ini: string, schema?: FileSchema | string): config.ConfigFile {
  const { sections, faults } = parseIni(path, ini);
  expect(faults).toEqual([]);
  const text = typeof schema === 'object' ? JSON.stringify(schema) : (schema ?? '');
  return { path, sections, parent: '', schema: text };
}

function faultsOf(...files: config.ConfigFile[]): string[] {
  return validateFiles(files, LIMITS).map(
    (fault) => `${fault.file} [${fault.section}] ${fault.key}: ${fault.message}`,
  );
}

/** What a schema of one key says about a line. */
function said(schema: KeySchema, line: string): string {
  return faultsOf(file('/a.conf', line, { keys: { k: schema } })).join('\n');
}

test.each<[KeySchema, fine: string, faulty: string, message: string]>([
  [{ type: 'int' }, 'k int = 1', 'k = 1', 'is of type string; the schema says int'],
  [{ type: 'duration' }, 'k time.Duration = 1s', 'k int = 1', 'the schema says time.Duration'],
  [{ type: 'int', min: 1 }, 'k int = 1', 'k int = 0', '"0" is below the least, 1'],
  [
    { type: 'int64', max: '9223372036854775806' },
    'k int64 = 9',
    'k int64 = 9223372036854775807',
    'above the most',
  ],
  [
    { type: 'float64', max: 0.5 },
    'k float64 = 0.5',
    'k float64 = 0.51',
    '"0.51" is above the most, 0.5',
  ],
  [
    { type: 'time.Duration', min: '100ms', max: '1m' },
    'k time.Duration = 60s',
    'k time.Duration = 61s',
    '"61s" is above the most, 1m',
  ],
  [{ type: '[]int', max: 3 }, 'k []int = 1,2,3', 'k []int = 1,4', '"1,4" is above the most, 3'],
  [
    { type: 'map[string]int', min: 1 },
    'k map[string]int = a:1',
    'k map[string]int = a:0',
    'below the least',
  ],
  [
    { type: 'string', minLength: 2, maxLength: 3 },
    'k = 日本',
    'k = abcd',
    'has a length of 4; at most 3',
  ],
  [
    { type: '[]string', minLength: 2 },
    'k []string = a,b',
    'k []string = a',
    'length of 1; at least 2',
  ],
  [{ type: 'string', enum: ['a', 'b'] }, 'k = a', 'k = c', '"c" is not one of a, b'],
  [{ type: '[]int64', enum: ['1', '+2'] }, 'k []int64 = 2', 'k []int64 = 3', 'is not one of'],
  [
    { type: 'map[string]struct{}', enum: ['a'] },
    'k map[string]struct{} = a',
    'k map[string]struct{} = b',
    'not one of a',
  ],
  [{ type: 'string', pattern: '^[a-z]+$' }, 'k = abc', 'k = aBc', '"aBc" does not match ^[a-z]+$'],
  [
    { type: 'secret', minLength: 8 },
    'k secret = 12345678',
    'k secret = short',
    'the secret has a length of 5',
  ],
  [{ required: true }, 'k = 1', 'l = 1', 'the schema requires this key'],
  [
    {
      type: 'json',
      schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
    },
    'k json = {"n":1}',
    'k json = {"n":"x"}',
    '/n: must be integer',
  ],
  [
    {
      type: 'json',
      schema: { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'null' }] },
    },
    'k json = [null]',
    'k json = [1]',
    '/0: must be null',
  ],
  [
    { type: 'json', schema: { properties: {}, additionalProperties: false } },
    'k json = {}',
    'k json = {"x":1}',
    '/: must NOT have additional properties: x',
  ],
])('%j takes %j and refuses %j', (schema, fine, faulty, message) => {
  expect(said(schema, fine)).toBe('');
  expect(said(schema, faulty)).toContain(`/a.conf [DEFAULT] k: `);
  expect(said(schema, faulty)).toContain(message);
});

test.each<[schema: FileSchema | string, message: string]>([
  ['{"keys":', 'not JSON: line 1, column 9'],
  ['[]', '/: must be object'],
  ['{"key":{}}', '/: must NOT have additional properties: key'],
  ['{"keys":{"k":{"minimum":1}}}', '/keys/k: must NOT have additional properties: minimum'],
  [{ keys: { k: { type: 'integer' } } }, "/keys/k: 'integer' is not a type"],
  [{ keys: { k: { min: 1 } } }, "/keys/k: 'min' needs a 'type'"],
  [{ keys: { k: { type: 'string', min: 1 } } }, "'min' says nothing about a string"],
  [{ keys: { k: { type: 'int', min: 0.5 } } }, '"0.5" is not an int'],
  [{ keys: { k: { type: 'bool', maxLength: 1 } } }, 'a bool has no length'],
  [{ keys: { k: { type: 'json', enum: ['1'] } } }, "'enum' says nothing about a json"],
  [{ keys: { k: { type: 'int', pattern: '1' } } }, "'pattern' says nothing about a int"],
  [
    { keys: { k: { type: 'string', pattern: '(' } } },
    '/keys/k: pattern: not an expression of RE2: missing closing )',
  ],
  [{ keys: { k: { type: 'int', schema: {} } } }, "'schema' says nothing about a int"],
  [{ keys: { k: { type: 'json', schema: { typ: 'object' } } } }, 'unknown keyword: "typ"'],
  [{ keys: { k: { type: 'json', schema: { $ref: 'https://x/y' } } } }, "can't resolve reference"],
  [{ keys: { k: { type: 'int', max: 3, default: '4' } } }, 'default: "4" is above the most, 3'],
  [{ sections: { s: { keys: { k: { type: 'x' } } } } }, '/sections/s/keys/k: '],
])('the schema %j is a fault itself', (schema, message) => {
  const [fault] = faultsOf(file('/a.conf', '', schema));
  expect(fault).toContain('/a.conf [] schema: schema: ');
  expect(fault).toContain(message);
});

test('nobody reads the text of a secret in what a schema says', () => {
  const said = [{ pattern: '^x' }, { enum: ['x'] }, { maxLength: 1 }].flatMap((rule) =>
    faultsOf(file('/a.conf', 'k secret = hunter2', { keys: { k: { type: 'secret', ...rule } } })),
  );
  expect(said).toHaveLength(3);
  expect(said.join()).not.toContain('hunter2');
});

test('a schema that refuses live values names each of them', () => {
  const schema: FileSchema = { keys: { a: { type: 'int', max: 1 } }, additional: false };
  expect(faultsOf(file('/a.conf', 'a int = 2\nb = 1\n[s]\na int = 3', schema))).toEqual([
    '/a.conf [DEFAULT] a: "2" is above the most, 1',
    '/a.conf [DEFAULT] b: the schema knows no such key',
    '/a.conf [s] a: "3" is above the most, 1',
  ]);
});

test('a file below is held to the schema of the file that it inherits from', () => {
  const schema: FileSchema = { keys: { a: { type: 'int', max: 1, required: true } } };
  const files = [file('/a.conf', 'a int = 1', schema), file('/x/a.conf', 'a int = 2\nb = 1')];
  expect(faultsOf(...files)).toEqual([
    '/x/a.conf [DEFAULT] a: "2" is above the most, 1 (schema of /a.conf)',
  ]);
});

test('a file with a schema of its own holds it against what it inherits', () => {
  const schema: FileSchema = { keys: { a: { type: 'int', max: 1 } } };
  const files = [file('/a.conf', 'a int = 2\nb = 1'), file('/x/a.conf', 'c = 1', schema)];
  expect(faultsOf(...files)).toEqual([
    '/a.conf [DEFAULT] a: "2" is above the most, 1 (schema of /x/a.conf)',
  ]);
});

test('what is required may be inherited, and is asked of DEFAULT', () => {
  const schema: FileSchema = { keys: { a: { required: true }, b: { required: true } } };
  const files = [file('/a.conf', 'a = 1'), file('/x/a.conf', '[s]\nb = 1', schema)];
  expect(faultsOf(...files)).toEqual(['/x/a.conf [DEFAULT] b: the schema requires this key']);
});

test('of records each section has what is required', () => {
  const schema: FileSchema = { records: true, keys: { a: { required: true } } };
  expect(faultsOf(file('/a.conf', '[s]\na = 1\n[t]\nb = 1', schema))).toEqual([
    '/a.conf [t] a: the schema requires this key',
  ]);
});

test('a section may have rules of its own over those of the file', () => {
  const schema: FileSchema = {
    keys: { a: { type: 'int', max: 1 } },
    sections: {
      s: { keys: { a: { type: 'int', max: 5 }, b: { required: true } }, additional: false },
    },
  };
  expect(faultsOf(file('/a.conf', 'a int = 1\n[s]\na int = 5\nc = 1', schema))).toEqual([
    '/a.conf [s] c: the schema knows no such key',
    '/a.conf [s] b: the schema requires this key',
  ]);
});

test('two keys may bring JSON Schemas of one $id', () => {
  const schema = { $id: 'https://example.com/a', type: 'object' };
  const keys = { k: { type: 'json', schema }, l: { type: 'json', schema } };
  expect(faultsOf(file('/a.conf', 'k json = {}\nl json = []', { keys }))).toEqual([
    '/a.conf [DEFAULT] l: /: must be object',
  ]);
});
