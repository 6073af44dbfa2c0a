import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { access, config, metrics, storage } from '@malabar/contracts';
import { packages } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { push } from '../harness/edges.js';
import { RespSocket } from '../harness/resp-socket.js';
import { findLeaks, formsOf } from './needles.js';
import { type BackendName, PlantedBus } from './planted-bus.js';

const etcd = await packages.etcd();
if (etcd.missing) console.warn(`tests on etcd skipped: ${etcd.missing}`);
const BACKENDS: BackendName[] = etcd.missing ? ['lmdb'] : ['lmdb', 'etcd'];

describe.each(BACKENDS)('a bus on %s with planted secrets', (backend) => {
  const here = new PlantedBus(backend);

  beforeAll(async () => {
    await here.start();
    await logInAndOut(here);
    await handleTokens(here);
    await handleConfig(here);
    await refuseConfig(here);
    await useQueues(here);
    await lookAtEverything(here);
    await breakThings(here);
    here.collectFiles();
  }, 600_000);

  afterAll(() => here.stop());

  test('shows none of them to anybody, in any form', () => {
    expect(findLeaks(here.collected, here.planted)).toEqual([]);
  });

  test('was looked at from every side', () => {
    const count = (prefix: string): number =>
      here.collected.filter(({ where }) => where.startsWith(prefix)).length;
    for (const prefix of ['malabar ', 'log of', 'answer of', 'error of', 'file /', 'metrics of']) {
      expect({ prefix, count: count(prefix) > 3 }).toEqual({ prefix, count: true });
    }
    expect(here.planted.length).toBeGreaterThan(18);
  });

  test('would be caught: a planted text in any of the collected places is found', () => {
    for (const { name, value } of here.planted) {
      for (const form of formsOf(value).values()) {
        const leak = { where: 'a log', content: Buffer.from(`..${form}..`) };
        expect(findLeaks([leak], here.planted), name).not.toEqual([]);
      }
    }
  });

  test('really has them: whoever may see one sees it', async () => {
    const shown = await here.unseen(['config', 'get', 'shop', '--reveal'], { user: 'ann' });
    const leaks = findLeaks(
      [{ where: 'reveal', content: Buffer.from(shown.stdout) }],
      here.planted,
    );
    expect(leaks.join()).toContain('configSecret');
  });
});

/** Right and wrong logins, and people. */
async function logInAndOut(here: PlantedBus): Promise<void> {
  const password = (name: string): string[] => ['--password-file', here.fileOf(name)];
  here.plant('mistypedPassword', `${here.text('annPassword')}x`);
  for (const user of ['ann', 'nobody']) {
    await here.cli(['login', '--user', user, ...password('mistypedPassword')]);
  }
  // A password that was typed where the name belongs.
  await here.cli(['login', '--user', here.text('mistypedName'), ...password('annPassword')]);
  const { code } = await here.cli(['login', '--user', 'ann', ...password('annPassword')], {
    user: 'ann',
  });
  expect(code).toBe(0);
  here.plant('annSession', here.sessionOf('ann'));
  here.plant('annSessionMac', here.sessionOf('ann').split('.')[1] as string);
  const ann = { user: 'ann' };
  const set = ['users', 'set', 'bob', '--grant', 'shop:operator', '--grant', '*:viewer'];
  expect((await here.cli([...set, ...password('bobPassword')], ann)).code).toBe(0);
  await here.cli(['users', 'list', '--json'], ann);
  await here.cli(['users', 'set', 'ann', ...password('bobPassword')], ann);
  await here.cli(['users', 'disable', 'bob', '--json'], ann);
  await here.cli(['login', '--user', 'bob', ...password('bobPassword')], { user: 'bob' });
  await here.cli(['users', 'enable', 'bob'], ann);
  await here.cli(['login', '--user', 'bob', ...password('bobPassword')], { user: 'bob' });
  here.plant('bobSession', here.sessionOf('bob'));
  await here.cli(['whoami', '--json'], { user: 'bob' });
  await here.cli(['users', 'delete', 'ann', '--yes'], { user: 'bob' });
}

/** Tokens of programs: good, cut, foreign, revoked; the bus's own where it does not belong. */
async function handleTokens(here: PlantedBus): Promise<void> {
  const ann = { user: 'ann' };
  const made = await here.unseen(['tokens', 'create', '--user', 'bob', '--note', 'CI'], ann);
  const token = made.stdout.trim();
  expect(token).toMatch(/^mlb_/);
  here.plant('programToken', token);
  here.plant('programTokenSecret', token.split('_').slice(2).join('_'));
  await here.cli(['tokens', 'list'], ann);
  await here.cli(['tokens', 'list', '--json'], ann);
  await here.cli(['whoami'], { env: { MALABAR_TOKEN: token } });
  await here.cli(['queues'], { env: { MALABAR_TOKEN: token } });
  await here.cli(['whoami', '--token-file', here.fileOf('grpcToken')]);
  const { AccessServiceDefinition: definition } = access;
  const session = here.sessionOf('ann');
  const wrong = [
    token.slice(0, -1),
    `${token.slice(0, -4)}AAAA`,
    token.replace(/^mlb_.{8}/, 'mlb_00000000'),
    `${session}x`,
    session.replace('.', 'A.'),
    `${here.text('grpcToken')}x`,
    here.text('annPassword'),
  ];
  for (const text of wrong) await here.call(definition, text, (client) => client.whoAmI({}));
  await here.call(definition, undefined, (client) => client.listTokens({}));
  await here.call(definition, token, (client) => client.listTokens({}));
  await here.cli(['tokens', 'revoke', token.split('_')[1] as string], ann);
  await here.call(definition, token, (client) => client.whoAmI({}));
}

/** A domain with secrets, edited, looked at and published. */
async function handleConfig(here: PlantedBus): Promise<void> {
  const ann = { user: 'ann' };
  const secret = ['--type', 'secret', '--value-file'];
  const api = ['/app.conf', 'DEFAULT', 'api_key'];
  const domain = ['config', 'domain', 'shop'];
  expect((await here.cli([...domain, '--create', '--system', 'shop'], ann)).code).toBe(0);
  const set = ['config', 'set', 'shop', ...api, ...secret];
  await here.cli([...set, here.fileOf('configSecret')], ann);
  for (const view of ['draft', 'diff', 'validate', 'publish', 'history', 'get', 'export']) {
    await here.cli(['config', view, 'shop'], ann);
  }
  writeFileSync(
    here.fileOf('imported.conf'),
    `[db]\nuser = shop\npassword secret = ${JSON.stringify(here.text('importedSecret'))}\n`,
  );
  await here.cli(['config', 'import', 'shop', here.fileOf('imported.conf')], ann);
  await here.cli(['config', 'draft', 'shop', '--json'], { user: 'bob' });
  await here.cli(['config', 'publish', 'shop', '-m', 'second', '--json'], { user: 'bob' });
  await here.cli([...set, here.fileOf('refusedSecret')], ann);
  await here.cli(['config', 'diff', 'shop', '--json'], ann);
  await here.cli(['config', 'discard', 'shop'], ann);
  await here.cli(['config', 'rollback', 'shop', '1'], ann);
  for (const args of [
    ['get', 'shop', '--json'],
    ['get', 'shop', ...api],
    ['effective', 'shop', '/app.conf', '--json'],
    ['export', 'shop', '--json'],
    ['history', 'shop', '--json'],
    ['audit', 'shop', '--changes'],
    ['audit', '--changes', '--json'],
    ['get', 'malabar', '--json'],
    ['get', 'malabar.people', '--json'],
    ['diff', 'malabar.people', 'empty', 'current', '--json'],
    ['effective', 'malabar.people', '/users.conf/ann'],
    ['domains', '--json'],
    ['who', '--json'],
    ['rotate-key'],
  ]) {
    await here.cli(['config', ...args], ann);
  }
}

type Edit = NonNullable<config.Operation['operation']>;

/** Writes that are refused with a secret in them. */
async function refuseConfig(here: PlantedBus): Promise<void> {
  const raw = here.text('refusedSecret');
  const at = { file: '/app.conf', section: '', key: 'api_key' };
  const ini = (text: string): Edit => ({
    $case: 'importFile',
    value: { path: '/bad.conf', text },
  });
  const secret: Edit = { $case: 'setKey', value: { ...at, type: 'secret', raw } };
  const file: config.ConfigFile = {
    path: '/app.conf',
    parent: '',
    schema: '',
    sections: [
      {
        name: 'DEFAULT',
        entries: [
          { key: 'a', type: 'secret', raw },
          { key: 'a', type: 'secret', raw },
        ],
      },
    ],
  };
  const schema = JSON.stringify({ keys: { api_key: { type: 'secret', minLength: 999 } } });
  const refused: Edit[][] = [
    [secret, { $case: 'deleteKey', value: { ...at, key: 'missing' } }],
    [secret, { $case: 'setSchema', value: { file: '/app.conf', schema } }],
    [{ $case: 'setKey', value: { ...at, type: 'secrets', raw } }],
    [{ $case: 'setKey', value: { ...at, section: '../x', type: 'secret', raw } }],
    [secret, { $case: 'setKey', value: { ...at, type: 'int', raw: '' } }],
    [{ $case: 'putFile', value: { file } }],
    [ini(`password secret = "${raw.slice(0, 30)}`), secret],
    [ini(`password secret "${raw}"`)],
    [ini(`password secret = ${JSON.stringify(raw)}\npassword secret = ${JSON.stringify(raw)}`)],
  ];
  const { ConfigServiceDefinition: definition } = config;
  for (const edits of refused) {
    const operations = edits.map((operation) => ({ operation }));
    await here.call(definition, here.sessionOf('ann'), async (client) => {
      const { domain } = await client.getDomain({ domain: 'shop' });
      const expectedRelease = domain?.release ?? 0;
      const request = { domain: 'shop', operations, note: '', canary: undefined };
      here.collect('answer of validate', JSON.stringify(await client.validate(request)));
      return client.publish({ ...request, expectedRelease, draftRevision: 0 });
    });
  }
  const operations = [{ operation: secret }];
  const stale = { domain: 'shop', operations, note: '', canary: undefined, draftRevision: 0 };
  for (const token of [here.sessionOf('ann'), undefined, here.text('queuePassword')]) {
    await here.call(definition, token, (client) =>
      client.publish({ ...stale, expectedRelease: 99 }),
    );
  }
  await here.call(definition, here.sessionOf('bob'), (client) =>
    client.putDomain({ domain: 'shop', settings: undefined, settingsRevision: 1 }),
  );
}

/** Producers and consumers with right and wrong passwords. */
async function useQueues(here: PlantedBus): Promise<void> {
  const { bus } = here;
  const password = here.text('queuePassword');
  const pushes = [password, `${password}x`, here.text('grpcToken'), undefined];
  for (const edge of ['redis', 'pepperbus', 'http', 'grpc'] as const) {
    for (const shown of pushes) {
      const answer = await push(bus, edge, { queue: 'paid', body: '{}', password: shown });
      here.collect(`answer of ${edge}`, answer);
    }
    here.harvest();
  }
  const socket = await RespSocket.open(bus.ports.redis);
  for (const words of [
    ['AUTH', 'unknown', password],
    ['AUTH', password],
    ['AUTH', 'paid', password, password],
    ['AUTH', `paid:${password}`],
    ['HELLO', '3', 'AUTH', 'paid', `${password}x`],
    ['HELLO', password],
    ['CONFIG', 'SET', 'requirepass', password],
    [password, 'x'],
    ['ACL', 'SETUSER', password],
  ]) {
    here.collect('answer of redis', String(await socket.ask(...words)));
  }
  socket.close();
  const url = `http://127.0.0.1:${bus.ports.http}/v1/queues/${encodeURIComponent(password)}/jobs`;
  const authorization = `Bearer ${here.text('grpcToken')}`;
  const response = await fetch(url, { method: 'POST', body: '{}', headers: { authorization } });
  here.collect('answer of http', await response.text());
  for (const shown of [password, `${password}x`]) {
    const env = { MALABAR_PASSWORD: shown, MALABAR_GRPC_TOKEN: here.text('grpcToken') };
    await here.cli(['push', 'paid', '{}'], { env });
    await here.cli(['push', 'paid', '{}', '--json'], { env, user: 'ann' });
  }
}

/** What operators look at. */
async function lookAtEverything(here: PlantedBus): Promise<void> {
  const ann = { user: 'ann' };
  for (const args of [
    ['queues', '--json'],
    ['jobs', 'list', '--topic', 'paid/ship', '--state', 'dead', '--json'],
    ['jobs', 'list', '--topic', 'paid/held'],
    ['verify', '--json'],
    ['services', '--json'],
    ['doctor', '--json'],
    ['doctor'],
    ['config', 'who'],
  ]) {
    await here.cli(args, ann);
  }
  const env = { MALABAR_GRPC_TOKEN: here.text('grpcToken') };
  await here.cli(['doctor', '--config', here.bus.file], { env });
  for (const part of here.bus.parts) {
    for (const path of ['metrics', 'readyz', 'healthz']) {
      const answer = await fetch(`http://127.0.0.1:${here.bus.ports.ops[part]}/${path}`);
      here.collect(`metrics of ${part}`, await answer.text());
    }
  }
  const storageAt = `127.0.0.1:${here.bus.ports.grpc.storage ?? here.bus.ports.grpc.all}`;
  for (const token of [here.sessionOf('ann'), here.text('annPassword'), undefined]) {
    await here.call(
      storage.StorageServiceDefinition,
      token,
      (client) => client.listQueues({ queue: '' }),
      storageAt,
    );
    await here.call(metrics.MetricsServiceDefinition, token, (client) => client.gather({}));
  }
}

/** Faulty files, kill -9, damaged snapshots and wrong keys. */
async function breakThings(here: PlantedBus): Promise<void> {
  const { bus } = here;
  const inline = (name: 'queuePassword' | 'header'): string => JSON.stringify(here.text(name));
  const faulty = [
    `queues: { paid: { password: [${inline('queuePassword')}], topics: { } } }`,
    `queues: { paid: { passwort: ${inline('queuePassword')}, topics: { } } }`,
    `queues: { paid: { password: ${inline('queuePassword')}, topics: { a: { target: ftp } } } }`,
    `queues: { paid: { password: ${inline('queuePassword')}`,
    `people: { ann: { password: { ${inline('header')} } } }`,
    `grpc: { token: { secrets: ${inline('header')} } }\nqueues: { }`,
  ];
  for (const [at, text] of faulty.entries()) {
    const file = here.fileOf(`faulty-${at}.yaml`);
    writeFileSync(file, text);
    const checked = await here.unseen(['config', 'check', file]);
    here.collect('malabar config check', checked.stdout + checked.stderr);
  }
  const keeperPart = bus.parts.includes('keeper') ? 'keeper' : 'all';
  bus.save(here.documents().replace('target: pull', 'target: pulll'));
  await here.cli(['doctor'], { user: 'ann' });
  bus.save(here.documents());
  for (const part of bus.parts) await bus.kill(part, 'SIGKILL');
  damageSnapshots(here);
  await startWrong(here, keeperPart, here.documents('wrongSecretKey'));
  await startWrong(here, keeperPart, here.documents('secretKey', 'header'));
  bus.save(here.documents());
  for (const part of bus.parts) await bus.start(part);
  await bus.ready();
  here.harvest();
  expect((await here.cli(['whoami'], { user: 'ann' })).code).toBe(0);
}

async function startWrong(here: PlantedBus, part: 'keeper' | 'all', text: string): Promise<void> {
  if (text === here.documents()) return;
  here.bus.save(text);
  const outcome = await here.bus.start(part).then(
    () => 'it started',
    (error: Error) => error.message,
  );
  here.collect(`log of a start that fails (${part})`, outcome);
  if (outcome === 'it started') await here.bus.kill(part, 'SIGKILL');
}

function damageSnapshots({ bus }: PlantedBus): void {
  const folder = join(bus.dir, 'data', 'snapshot');
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 0xff;
    writeFileSync(join(folder, name), bytes);
  }
}
