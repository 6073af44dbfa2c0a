import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { parseIni } from '../ini/parse.js';
import { generate, LANGUAGES } from './generate.js';
import { camelCase, gokeeperStruct, pascalCase, snakeCase } from './identifiers.js';

function file(path: string, text: string): config.ConfigFile {
  return { path, sections: parseIni(path, text).sections, parent: '', schema: '' };
}

test('names follow the language', () => {
  expect(pascalCase('msg_type_map')).toBe('MsgTypeMap');
  expect(camelCase('HTTP_port')).toBe('httpPort');
  expect(camelCase('a.b-c:d@e')).toBe('aBCDE');
  expect(snakeCase('maxIdle-Conns')).toBe('max_idle_conns');
  expect(gokeeperStruct('redis_master')).toBe('Redis_master');
  expect(pascalCase('127.0.0.1')).toBe('Key127001');
});

test.each(LANGUAGES)('%s: a key of two types is refused', (language) => {
  const files = [file('/a.conf', 'k = 1'), file('/x/a.conf', '[s]\nk int = 1')];
  expect(() => generate(language, files)).toThrow(
    "key 'k' has two types: string in /a.conf [DEFAULT] and int in /x/a.conf [s]",
  );
});

test.each(LANGUAGES)('%s: two keys of one name are refused', (language) => {
  const files = [file('/a.conf', 'a_b = 1\na-b = 1')];
  expect(() => generate(language, files)).toThrow(/^a: 'a-b' and 'a_b' would both be /);
});

test.each(LANGUAGES)('%s: no files make a container without structs', (language) => {
  expect(generate(language, []).length).toBeGreaterThan(0);
});

test.each(LANGUAGES)('%s: no name of a file meets a name of the generated code', (language) => {
  const names = ['config', 'values', 'source', 'load', 'update', 'meta', 'class', '7', 'a-b'];
  const paths = generate(
    language,
    names.map((name) => file(`/${name}.conf`, 'k = 1')),
  ).map(({ path }) => path);
  expect(new Set(paths).size).toBe(paths.length);
});
