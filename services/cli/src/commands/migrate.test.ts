import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { EtcdClient } from '@malabar/etcd';
import { type RunningProcess, start } from '@malabar/runtime';
import { type EtcdServer, etcdServer, needs, packages, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';

const dir = tempDir('cli-migrate');
let etcd: EtcdServer;
let client: EtcdClient;
let keeper: RunningProcess;

async function malabar(...args: string[]) {
  const context = memoryContext({ cwd: dir });
  const exitCode = await run([...args, '--address', keeper.grpcAddress], context);
  return { exitCode, lines: context.terminal.lines, notes: context.terminal.notes };
}

const migrate = (...args: string[]) =>
  malabar('migrate', 'gokeeper', '--etcd', etcd.address, ...args);

/** The etcd key and value that gokeeper writes for one key of a file. */
function conf(path: string, type: string, raw: string, value: unknown = raw) {
  const key = path.slice(path.lastIndexOf('/') + 1);
  const stored = {
    type,
    raw_key: type === 'string' ? key : `${key} ${type}`,
    raw_value: raw,
    key,
    value,
    struct_key: key,
    is_json: type === 'json',
  };
  return { key: `/gokeeper/conf/${path}`, value: Buffer.from(JSON.stringify(stored)) };
}

/** Writes keys of a domain and then its version, as gokeeper does. */
async function gokeeperWrites(
  domain: string,
  version: number,
  puts: Array<{ key: string; value: Buffer }>,
): Promise<void> {
  const revision = puts.length === 0 ? 1 : await client.commit({ puts });
  const value = Buffer.from(JSON.stringify({ version, etcd_version: revision }));
  await client.commit({ puts: [{ key: `/gokeeper/version/current/${domain}`, value }] });
}

needs(describe, await packages.etcd())('malabar migrate gokeeper', () => {
  beforeAll(async () => {
    etcd = await etcdServer();
    client = new EtcdClient({ endpoints: [etcd.address] });
  });

  afterAll(async () => {
    client?.close();
    await etcd?.stop();
  });

  beforeEach(async () => {
    const { entries } = await client.list('');
    for (let i = 0; i < entries.length; i += 100)
      await client.commit({ deletes: entries.slice(i, i + 100).map(({ key }) => key) });
    const flags = {
      data: join(tempDir('cli-migrate'), 'data'),
      'log.level': 'error',
      'grpc.listen': '127.0.0.1:0',
      'ops.listen': '127.0.0.1:0',
    };
    const only = modules.filter(({ name }) => name === 'keeper');
    keeper = await start({ modules: only, config: loadConfig({ env: {}, flags }) });
    return () => keeper.stop();
  });

  test('takes over domains, files, sections, types and values in one release each', async () => {
    await gokeeperWrites('shop', 12, [
      conf('shop/global.conf/DEFAULT/timeout', 'time.Duration', '1h30m', 5_400_000_000_000),
      conf('shop/global.conf/DEFAULT/ids', '[]int', '1,2,3', [1, 2, 3]),
      conf('shop/global.conf/127.0.0.1:80/timeout', 'time.Duration', '2s', 2_000_000_000),
      conf('shop/zy/redis.conf/DEFAULT/addr', 'json', '{"http":"127.0.0.1:8000"}'),
    ]);
    await gokeeperWrites('mall', 3, [conf('mall/a.conf/DEFAULT/name', 'string', 'm; #1')]);
    expect(await migrate()).toEqual({
      exitCode: 0,
      lines: [
        'mall: release 1 is published, with 1 key',
        'shop: release 1 is published, with 4 keys',
      ],
      notes: [],
    });
    const history = await malabar('config', 'history', 'shop', '--json');
    expect(JSON.parse(history.lines.join('')).releases).toMatchObject([
      { number: 1, note: 'from gokeeper, its version 12' },
    ]);
    const node = ['--node', '127.0.0.1:80', '--subscribe', '/global.conf'];
    const values = (await malabar('config', 'effective', 'shop', ...node)).lines.join('\n');
    expect(values).toMatch(/ids.*1,2,3/);
    expect(values).toMatch(/timeout.*2s/);
    const exported = (await malabar('config', 'export', 'mall')).lines.join('\n');
    expect(exported).toContain('m; #1');
  });

  test('a dry run says what would be made and makes nothing', async () => {
    await gokeeperWrites('shop', 2, [
      conf('shop/a.conf/DEFAULT/x', 'int', '1', 1),
      conf('shop/a.conf/web-1/x', 'int', '2', 2),
    ]);
    expect(await migrate('--dry-run')).toEqual({
      exitCode: 0,
      lines: [
        "shop: 1 file, 2 keys, at gokeeper's version 2",
        '  /a.conf  [DEFAULT] 1 key, [web-1] 1 key',
      ],
      notes: [],
    });
    expect((await malabar('config', 'domain', 'shop')).exitCode).toBe(4);
  });

  test('a key without a section and one with a slash are found where they were meant to be', async () => {
    await gokeeperWrites('shop', 2, [
      conf('shop/a.conf/lost', 'string', 'here'),
      conf('shop/a.conf/both', 'string', 'unseen'),
      conf('shop/a.conf/DEFAULT/both', 'string', 'seen'),
      conf('shop/a.conf/a/b/x', 'string', '1'),
    ]);
    const refused = await migrate();
    expect(refused.exitCode).toBe(2);
    expect(refused.notes.join('\n')).toMatch(/shop \/a\.conf: \[a\/b\]: section name "a\/b"/);
    expect((await malabar('config', 'domain', 'shop')).exitCode).toBe(4);
    const taken = await migrate('--skip-faulty');
    expect(taken).toMatchObject({ exitCode: 0 });
    const said = taken.notes.join('\n');
    expect(said).toMatch(/\[DEFAULT\] lost: was written without a section/);
    expect(said).toMatch(/\[DEFAULT\] both: is there twice; left out here/);
    expect(said).toMatch(/\[a\/b\]: left out: section name/);
    const exported = (await malabar('config', 'export', 'shop')).lines.join('\n');
    expect(exported).toMatch(/both = seen\nlost = here/);
  });

  test.each([
    ['a value that does not parse', conf('shop/a.conf/DEFAULT/x', 'int', 'ten'), /\] x: .*ten/],
    ['an unknown type', conf('shop/a.conf/DEFAULT/x', 'uint', '1'), /\] x: .*uint/],
    ['json that is none', conf('shop/a.conf/DEFAULT/x', 'json', '{"a":'), /\] x: /],
    ['a name off the list', conf('shop/a.conf/DEFAULT/x y', 'string', '1'), /key name "x y"/],
    ['no file', conf('shop/readme/DEFAULT/x', 'string', '1'), /is no key of a file/],
    [
      'what gokeeper never wrote',
      { key: '/gokeeper/conf/shop/a.conf/DEFAULT/x', value: Buffer.from('x') },
      /\[DEFAULT\] x: its value is not what gokeeper writes/,
    ],
  ])('%s is a fault that names the key, and nothing is made', async (_, put, fault) => {
    await gokeeperWrites('shop', 1, [put, conf('shop/a.conf/DEFAULT/ok', 'string', '1')]);
    const { exitCode, notes } = await migrate();
    expect(exitCode).toBe(2);
    expect(notes.join('\n')).toMatch(fault);
    expect((await migrate('--dry-run')).exitCode).toBe(2);
    expect((await malabar('config', 'domain', 'shop')).exitCode).toBe(4);
    expect(await migrate('--skip-faulty')).toMatchObject({
      exitCode: 0,
      lines: ['shop: release 1 is published, with 1 key'],
    });
  });

  test('what is questionable is said: two types of a key, unfinished writes, deleted domains', async () => {
    await gokeeperWrites('shop', 1, [
      conf('shop/a.conf/DEFAULT/x', 'int', '1', 1),
      conf('shop/sub/a.conf/DEFAULT/x', 'string', 'one'),
    ]);
    await client.commit({ puts: [conf('shop/a.conf/DEFAULT/late', 'string', '1')] });
    await gokeeperWrites('gone', 7, []);
    const property = { key: '/discovery/api.user/property/backend/', value: Buffer.from('{}') };
    await client.commit({ puts: [property] });
    const { exitCode, lines, notes } = await migrate();
    expect({ exitCode, lines }).toEqual({
      exitCode: 0,
      lines: ['shop: release 1 is published, with 3 keys'],
    });
    const said = notes.join('\n');
    expect(said).toMatch(/shop .*x: string here, int in \/a\.conf/);
    expect(said).toMatch(/\[DEFAULT\] late: is newer than the version/);
    expect(said).toMatch(/gone has no keys; not taken over/);
    expect(said).toMatch(/discovery was told about api\.user/);
  });

  test('again does nothing, and another content here is left alone', async () => {
    await gokeeperWrites('shop', 1, [conf('shop/a.conf/DEFAULT/x', 'string', '1')]);
    await migrate();
    expect((await migrate()).lines).toEqual(['shop: is here already, as it is there']);
    await gokeeperWrites('shop', 2, [conf('shop/a.conf/DEFAULT/x', 'string', '2')]);
    const refused = await migrate();
    expect(refused.exitCode).toBe(6);
    expect(refused.notes[0]).toMatch(/'shop' is here already at release 1/);
  });

  test('one domain can be chosen, and one that is not there is named', async () => {
    await gokeeperWrites('shop', 1, [conf('shop/a.conf/DEFAULT/x', 'string', '1')]);
    await gokeeperWrites('mall', 1, [conf('mall/a.conf/DEFAULT/x', 'string', '1')]);
    expect((await migrate('--domain', 'mall')).lines).toHaveLength(1);
    const missing = await migrate('--domain', 'hall');
    expect(missing.exitCode).toBe(4);
    expect(missing.notes[0]).toMatch(/no domain 'hall'.*mall, shop/);
  });

  test('an etcd without gokeeper, or none at all, is an error', async () => {
    expect(await migrate()).toMatchObject({ exitCode: 4, notes: [/no gokeeper here/] });
    const nobody = ['migrate', 'gokeeper', '--etcd', '127.0.0.1:1', '--timeout', '2s'];
    expect(await malabar(...nobody)).toMatchObject({ exitCode: 3, notes: [/etcd at 127.0.0.1:1/] });
  });

  test('a domain of thousands of keys is one release', async () => {
    for (let part = 0; part < 30; part++)
      await gokeeperWrites(
        'shop',
        part + 1,
        Array.from({ length: 100 }, (_, i) =>
          conf(`shop/big.conf/s${part}/k${i}`, 'int', `${i}`, i),
        ),
      );
    expect((await migrate()).lines).toEqual(['shop: release 1 is published, with 3,000 keys']);
  });

  test('the password comes from a file', async () => {
    writeFileSync(join(dir, 'password'), 'secret\n');
    const file = join(dir, 'password');
    const refused = await migrate('--user', 'root', '--password-file', file);
    expect(refused).toMatchObject({ exitCode: 5 });
    expect(refused.notes.join('')).not.toContain('secret');
  });
});
