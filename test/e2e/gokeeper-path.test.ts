import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type EtcdServer,
  etcdServer,
  eventually,
  needs,
  packages,
  php,
  type Server,
  spawnServer,
} from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { oddCases, sampleFiles } from '../../libs/typed-config/src/sample.suite.js';
import { pythonStubs } from '../compat/python-stubs.js';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';
import { type Follower, follower, nodeProgram } from '../harness/nodes.js';

const NODES = fileURLToPath(new URL('../compat/keeper-nodes/', import.meta.url));
const PAGE = new URL('../../docs/keeper.md', import.meta.url);
const PYTHON_PROGRAM = /```python\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8'))?.[1] ?? '';
const SUBSCRIPTIONS = ['/types.conf/127.0.0.1:80', '/zy/global.conf/SEC'];

const requirements = [
  await packages.pythonGrpc(),
  await packages.protobufCompiler(),
  await packages.protobufGrpc(),
  await packages.php(),
];

const kinds = [
  { backend: 'lmdb', more: [] },
  { backend: 'etcd', more: [await packages.etcd()] },
] as const;

for (const { backend, more } of kinds) {
  needs(
    describe,
    ...requirements,
    ...more,
  )(`a user of gokeeper, with the keeper on ${backend}`, () => {
    let etcd: EtcdServer | undefined;
    let bus: Bus;
    let malabar: CommandLine;
    let node: Follower;
    let python: Follower;
    let agent: Server;
    let file: string;

    beforeAll(async () => {
      if (backend === 'etcd') etcd = await etcdServer();
      bus = await startBus({ documents: 'queues: {}\n', settings: keeperSettings(etcd) });
      malabar = commandLine(bus);
      file = join(bus.dir, 'shop.php');
    });

    afterAll(async () => {
      for (const each of [node, python, agent]) await each?.stop();
      await bus?.stop();
      await etcd?.stop();
    });

    test('the files of gokeeper are imported, and what it would have lost is told by line', async () => {
      writeSamples(join(bus.dir, 'conf'));
      await malabar.ok('config', 'domain', 'shop', '--create');
      const { code, stderr } = await malabar.run('config', 'import', 'shop', 'conf', '--publish');
      expect(code).toBe(0);
      const lost = oddCases.flatMap(({ gokeeper }, at) => (gokeeper === undefined ? [] : [at]));
      expect(lost.length).toBeGreaterThan(5);
      for (const at of lost) expect(stderr).toMatch(new RegExp(`conf/odd/case-${at}.conf:\\d+:`));
      const { files, release } = await malabar.json<Content>('config', 'get', 'shop');
      expect(release).toBe(1);
      for (const [at, { name, key, raw }] of oddCases.entries()) {
        const found = entriesOf(files, `/odd/case-${at}.conf`).find((each) => each.key === key);
        expect({ name, raw: found?.raw }).toEqual({ name, raw });
      }
    });

    test('a program with generated accessors has every type', async () => {
      const out = join(bus.dir, 'code');
      await malabar.ok('config', 'generate', '--lang', 'ts', '--domain', 'shop', '--out', out);
      const args = [addressOf(bus), 'node-1', 'shop', out, ...SUBSCRIPTIONS];
      node = await nodeProgram(join(NODES, 'follow.ts'), args);
      await eventually(() => expect(node.lines()).toMatchObject([{ release: 1, ...inNode }]));
    });

    test('a program in Python has them over plain gRPC, as docs/keeper.md shows', async () => {
      const program = join(bus.dir, 'node.py');
      writeFileSync(program, PYTHON_PROGRAM);
      python = follower(
        await spawnServer({
          command: '/usr/bin/python3',
          args: [program, addressOf(bus), 'python-1', 'shop', ...SUBSCRIPTIONS],
          env: { PYTHONPATH: await pythonStubs() },
          ready: () => true,
        }),
      );
      await eventually(() => expect(python.lines()).toMatchObject([{ release: 1, ...inJson }]));
    });

    test('a script in PHP has them from the file of an agent', async () => {
      const subscribe = SUBSCRIPTIONS.flatMap((each) => ['--subscribe', each]);
      const args = ['agent', '--address', addressOf(bus), '--domain', 'shop', ...subscribe];
      args.push('--node', 'php-1', '--component', 'php', '--format', 'php', '--out', file);
      agent = await spawnServer({
        command: process.execPath,
        args: [MALABAR, ...args, '--reload-shell', `echo reloaded >> ${file}.reloads`],
        ready: () => readFileSync(file),
      });
      const { types, global } = await inPhp(file);
      expect(global).toEqual(inJson.global);
      expect(types).toMatchObject({
        timeout: ['string', '20'],
        debug: ['bool', true],
        workers: ['int', 1],
        user_id: ['int', expect.anything()],
        ratio: ['float', 1000],
        ids: ['array', [1, 2, 3]],
        city: ['array', { jinan: 'sd', sy: 'ln' }],
        code_on: ['array', { 1: true, 2: false }],
        sleep: ['int', 5_400_000_000_000],
        addr: ['array', { http: '127.0.0.1:8000', tries: 3 }],
        password: ['string', 's3cr3t;#"x'],
      });
    });

    test('a published change reaches all three with its type', async () => {
      const set = async (...args: string[]) => malabar.ok('config', 'set', 'shop', ...args);
      await set('/types.conf', 'DEFAULT', 'ids', '5,-6');
      await set('/types.conf', '127.0.0.1:80', 'workers', '12');
      await set('/global.conf', 'DEFAULT', 'a', 'new');
      expect(await malabar.ok('config', 'publish', 'shop', '-m', 'more workers')).toContain(
        'shop: release 2 is published',
      );
      const types = { ids: [5, -6], workers: 12 };
      const changed = { release: 2, types, global: { a: 'new' } };
      await eventually(() => expect(node.lines().at(-1)).toMatchObject(changed));
      await eventually(() => expect(python.lines().at(-1)).toMatchObject(changed));
      await eventually(async () => {
        const seen = await inPhp(file);
        expect(seen.types).toMatchObject({ ids: ['array', [5, -6]], workers: ['int', 12] });
        expect(seen.global.a).toBe('new');
      });
      await eventually(() => expect(readFileSync(`${file}.reloads`, 'utf8')).toContain('reloaded'));
    });

    test('who shows which release each of them runs', async () => {
      await eventually(async () => {
        const { nodes, silentKeepers } = await malabar.json<Nodes>('config', 'who', 'shop');
        expect(silentKeepers).toEqual([]);
        expect(nodes).toMatchObject([
          { id: 'node-1', component: 'node', release: 2, offered: 2, refusal: '', connected: true },
          { id: 'php-1', component: 'php', release: 2, offered: 2, refusal: '', connected: true },
          { id: 'python-1', component: 'python', release: 2, refusal: '', connected: true },
        ]);
      });
      await node.stop();
      await eventually(async () => {
        const shown = await malabar.ok('config', 'who', 'shop');
        expect(shown).toMatch(/node-1 .* has left$/m);
      });
    });
  });
}

/** What a TypeScript program reads of the samples; see `spelled` in follow.ts. */
const inNode = {
  types: {
    timeout: '20',
    frontListen: ':8088',
    debug: true,
    workers: 1,
    userId: '9223372036854775807n',
    ratio: 1000,
    cityList: ['jinan', 'sydney'],
    ids: [1, 2, 3],
    bigIds: ['-9223372036854775808n', '0n'],
    weights: [0.5, 1],
    flags: [true, false, true],
    city: {
      map: [
        ['jinan', 'sd'],
        ['sy', 'ln'],
      ],
    },
    ports: {
      map: [
        ['http', 80],
        ['https', 443],
      ],
    },
    feat: {
      map: [
        ['a', true],
        ['b', false],
      ],
    },
    masters: {
      map: [
        ['0', ['h1:1527:pw']],
        ['1', ['h2:1528', 'h3:1529']],
      ],
    },
    codeNames: {
      map: [
        [1, 'one'],
        [2, 't:w:o'],
      ],
    },
    codeLevels: {
      map: [
        [1, 10],
        [-2, 20],
      ],
    },
    codeOn: {
      map: [
        [1, true],
        [2, false],
      ],
    },
    blocked: { set: ['10.0.0.1', '10.0.0.2'] },
    blockedIds: { set: [7, 8] },
    sleep: 5_400_000,
    addr: { http: '127.0.0.1:8000', tries: 3 },
    password: 's3cr3t;#"x',
  },
  global: { a: '1', b: '2', c: '3', d: '3' },
};

/** The same as the JSON that nodes get. */
const inJson = {
  types: {
    timeout: '20',
    debug: true,
    workers: 1,
    ratio: 1000,
    weights: [0.5, 1],
    feat: { a: true, b: false },
    masters: { 0: ['h1:1527:pw'], 1: ['h2:1528', 'h3:1529'] },
    code_levels: { 1: 10, '-2': 20 },
    blocked: { '10.0.0.1': {}, '10.0.0.2': {} },
    sleep: 5_400_000_000_000,
    addr: { http: '127.0.0.1:8000', tries: 3 },
    password: 's3cr3t;#"x',
  },
  global: { a: '1', b: '2', c: '3', d: '3' },
};

function keeperSettings(etcd: EtcdServer | undefined): string[] {
  if (etcd === undefined) return [];
  const secretKey = 'a key of thirty-two characters!!';
  return [
    'keeper.backend=etcd',
    `keeper.etcd.endpoints=${etcd.address}`,
    `keeper.secret_key=${secretKey}`,
  ];
}

const addressOf = (bus: Bus): string => `127.0.0.1:${bus.ports.grpc.all}`;

/** The samples, and each odd case as a file of its own. */
function writeSamples(folder: string): void {
  const odd = oddCases.map(({ text }, at) => ({ path: `/odd/case-${at}.conf`, text }));
  for (const { path, text } of [...sampleFiles, ...odd]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

interface File {
  path: string;
  sections: { entries: { key: string; raw: string }[] }[];
}

interface Content {
  files: File[];
  release: number;
}

interface Nodes {
  nodes: object[];
  silentKeepers: string[];
}

function entriesOf(files: readonly File[], path: string): { key: string; raw: string }[] {
  const found = files.filter((file) => file.path === path);
  return found.flatMap(({ sections }) => sections.flatMap(({ entries }) => entries));
}

async function inPhp(file: string) {
  const { stdout, stderr } = await php([join(NODES, 'show.php'), file]);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}
