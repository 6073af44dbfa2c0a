import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { run } from '@malabar/testkit';
import { beforeAll, expect, test } from 'vitest';
import { generate } from './generate.js';
import { generatedFrom, nodeFiles, viewOf, writeGenerated } from './generate.suite.js';

const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc');

/** Does not compile if a type is another one than it should be. */
const USE = `
import { Config } from './config.js';
import type { TypesConfig } from './types-config.js';

const config = new Config();
const types: TypesConfig = config.types;
export const http: string | undefined = types.addr?.http;
export const tries: number | undefined = types.addr.tries;
export const on: boolean | undefined = types.addr['x-y']?.[0]?.on;
export const more: number | undefined = types.addr.more?.['a'];
export const user: bigint = types.userId;
export const sleep: number = types.sleep;
export const set: ReadonlySet<number> = types.blockedIds;
export const map: ReadonlyMap<string, readonly string[]> = types.masters;
export const maybe: number | undefined = types.maybe;
// @ts-expect-error: it may be missing
export const surely: number = types.maybe;
// @ts-expect-error: nobody changes a struct
types.workers = 1;
export const doc: unknown = config.empty.doc;
`;

let folder: string;
// biome-ignore lint/suspicious/noExplicitAny: what a test reads of generated code
let Config: any;

beforeAll(async () => {
  folder = writeGenerated(generate('ts', generatedFrom));
  writeFileSync(join(folder, 'use.ts'), USE);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const args =
    '--strict --noUncheckedIndexedAccess --noUnusedLocals --erasableSyntaxOnly --verbatimModuleSyntax';
  const options = `${args} --module nodenext --target es2022`.split(' ');
  const { code, stdout } = await run(process.execPath, [TSC, ...options, 'use.ts', 'config.ts'], {
    cwd: folder,
  });
  expect(stdout).toBe('');
  expect(code).toBe(0);
  ({ Config } = await import(join(folder, 'config.js')));
});

test('every type has its value', () => {
  const config = new Config();
  config.update(viewOf(nodeFiles('/types.conf', '/empty.conf')));
  expect(config.types).toEqual({
    timeout: '20',
    frontListen: ':8088',
    debug: true,
    workers: 1,
    userId: 9223372036854775807n,
    ratio: 1000,
    cityList: ['jinan', 'sydney'],
    ids: [1, 2, 3],
    bigIds: [-9223372036854775808n, 0n],
    weights: [0.5, 1],
    flags: [true, false, true],
    city: new Map([
      ['jinan', 'sd'],
      ['sy', 'ln'],
    ]),
    ports: new Map([
      ['http', 80],
      ['https', 443],
    ]),
    feat: new Map([
      ['a', true],
      ['b', false],
    ]),
    masters: new Map([
      ['0', ['h1:1527:pw']],
      ['1', ['h2:1528', 'h3:1529']],
    ]),
    codeNames: new Map([
      [1, 'one'],
      [2, 't:w:o'],
    ]),
    codeLevels: new Map([
      [1, 10],
      [-2, 20],
    ]),
    codeOn: new Map([
      [1, true],
      [2, false],
    ]),
    blocked: new Set(['10.0.0.1', '10.0.0.2']),
    blockedIds: new Set([7, 8]),
    sleep: 5_400_000,
    addr: { http: '127.0.0.1:8000', tries: 3 },
    password: 's3cr3t;#"x',
    defaultWait: 1500,
    defaultId: 9223372036854775807n,
    defaultIds: [1n, 9223372036854775807n],
    defaultPorts: new Map([['a', 1]]),
    defaultCodes: new Map([[7, 'seven']]),
    defaultSet: new Set([7]),
    defaultText: `it's "a\\b" $x`,
    defaultDoc: { a: [1, null] },
    maybe: undefined,
    class: true,
  });
  expect(config.empty).toMatchObject({
    text: '',
    strings: [''],
    ints: [],
    sl: new Map(),
    doc: null,
  });
});

test('odd names of keys become names of TypeScript', () => {
  const config = new Config();
  config.update(viewOf(nodeFiles('/redis_master.conf')));
  const msgTypeMap = new Map([['a', true]]);
  expect(config.redisMaster).toEqual({ aB: '1', key80: 2, msgTypeMap });
});

test('a file that is not subscribed is told by name', () => {
  const config = new Config();
  config.update(viewOf(nodeFiles('/zy/global.conf')));
  expect(config.global).toEqual({ a: '1', b: '2', c: '1', d: undefined });
  expect(() => config.types).toThrow('types is not subscribed');
});

test('an update that lacks keys names them all and changes nothing', () => {
  const config = new Config();
  config.update(viewOf(nodeFiles('/global.conf')));
  const values = [{ file: 'global', key: 'b', type: 'int', value: 1 }];
  const find = (_file: string, key: string) => values.find((value) => value.key === key);
  expect(() => config.update({ values: () => values, find })).toThrow(
    "global: key 'a' is missing; key 'b' is of type int, not string; key 'c' is missing",
  );
  expect(config.global.a).toBe('1');
});
