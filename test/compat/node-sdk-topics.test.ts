import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { access, common } from '@malabar/contracts';
import { connect as dial } from '@malabar/rpc';
import { connect, createRegistry, type Malabar, type RegistrationError } from '@malabar/sdk';
import { eventually, run, tempDir } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';
import { endedAt } from './node-sdk.js';

const documents = `
systems:
  shop: {}
queues:
  kept:
    retention: 3d
    topics:
      there: { target: grpc, delay: 30s, retry: { attempts: 7 } }
      web: { target: 'http://127.0.0.1:1/' }
people:
  ann: { password: anns password, grants: { '*': admin } }
  bob: { password: bobs password, grants: { '*': operator } }
  eve: { password: eves password, grants: { '*': viewer } }
  sam: { password: sams password, grants: { shop: operator } }
`;
const noop = () => {};
const silent = { debug: noop, info: noop, warn: noop, error: noop };

let bus: Bus;
const tokens: Record<string, string> = {};
const open: Malabar[] = [];

beforeAll(async () => {
  bus = await startBus({ documents });
  const client = dial(access.AccessServiceDefinition, { address: address() });
  for (const user of ['ann', 'bob', 'eve', 'sam']) {
    tokens[user] = (await client.login({ user, password: `${user}s password` })).token;
  }
  client.close();
});

afterEach(async () => {
  for (const malabar of open.splice(0)) await malabar.close();
});

afterAll(() => bus?.stop());

const address = () => `127.0.0.1:${bus.ports.grpc.all}`;

function connected(user: string): Malabar {
  const malabar = connect({ address: address(), token: tokens[user], log: silent });
  open.push(malabar);
  return malabar;
}

async function refusal(creating: Promise<unknown>): Promise<RegistrationError> {
  const outcome = await creating.then(noop, (error) => error);
  expect(outcome).toMatchObject({ name: 'RegistrationError' });
  return outcome;
}

/** What the keeper has of a queue. */
async function documentOf(queue: string) {
  const env = { MALABAR_ADDRESS: address(), MALABAR_TOKEN: tokens.ann ?? '' };
  const args = ['config', 'get', 'malabar', '/queues.conf', queue, 'document', '--json'];
  const { stdout, stderr } = await run(process.execPath, [MALABAR, ...args], { env });
  expect(stderr).toBe('');
  return stdout;
}

test('what is registered is there when createTopics resolves, once, beside what others made', async () => {
  const registry = createRegistry()
    .register('kept', 'mine', { delay: '10s', concurrency: 3, retry: 4 }, noop)
    .register('new_event', 'one', noop)
    .register('new_event', 'two', { retry: { backoff: 'ladder', ladder: ['1s', '1m'] } }, noop);
  const malabar = connected('bob');
  const made = await malabar.createTopics(registry, { name: 'checkout' });
  expect(made).toEqual(['kept/mine', 'new_event/one', 'new_event/two']);
  const { id } = await malabar.publish('new_event', { n: 1 });
  const { deliveries } = await bus.storage.getJob({ jobId: id });
  expect(deliveries.map(({ topic }) => topic).sort()).toEqual(['one', 'two']);
  expect(await malabar.createTopics(registry)).toEqual([]);
  const kept = await documentOf('kept');
  for (const words of ['3d', 'there', '127.0.0.1:1', 'mine']) expect(kept).toContain(words);
});

test('programs that register at the same moment all find their topics', async () => {
  const creating = [1, 2, 3, 4, 5].map(async (n) => {
    const registry = createRegistry()
      .register('raced', `task${n}`, noop)
      .register('raced', 'all', noop);
    await connected('bob').createTopics(registry);
  });
  await Promise.all(creating);
  const { queues } = await bus.storage.listQueues({ queue: 'raced' });
  const topics = queues[0]?.topics.map(({ topic }) => topic).sort();
  expect(topics).toEqual(['all', 'task1', 'task2', 'task3', 'task4', 'task5']);
});

test('a topic that says something else is an error that names its author, and changes nothing', async () => {
  const mine = createRegistry().register('quarrel', 'act', { delay: '10s', retry: 5 }, noop);
  await connected('bob').createTopics(mine, { name: 'checkout' });
  const yours = createRegistry()
    .register('quarrel', 'act', { delay: '20s', retry: 5 }, noop)
    .register('quarrel', 'other', noop);
  const error = await refusal(connected('ann').createTopics(yours));
  expect(error).toMatchObject({ code: 'CONFLICT' });
  expect(error.message).toMatch(
    /^topic quarrel\/act is there with other settings: delay is "10s", not "20s"; release \d+ by bob at .* \(tasks of checkout\) made it so\n/,
  );
  expect(await documentOf('quarrel')).not.toContain('other');
  const replaced = await connected('ann').createTopics(yours, { replace: true });
  expect(replaced.slice().sort()).toEqual(['quarrel/act', 'quarrel/other']);
  expect(await documentOf('quarrel')).toContain('20s');
});

test('what means the same is no conflict, and what is not said is left to the configuration', async () => {
  const registry = createRegistry().register('kept', 'there', { delay: '30000ms' }, noop);
  expect(await connected('bob').createTopics(registry)).toEqual([]);
  const web = createRegistry().register('kept', 'web', noop);
  const error = await refusal(connected('bob').createTopics(web));
  expect(error.message).toContain('target is "http://127.0.0.1:1/", not "grpc"; release 1 by file');
});

test('who may only look is told what to have configured', async () => {
  const registry = createRegistry().register('kept', 'wanted', { delay: '10s', retry: 4 }, noop);
  const error = await refusal(connected('eve').createTopics(registry));
  expect(error).toMatchObject({ code: 'FORBIDDEN', retryable: false });
  expect(error.message).toContain('operator');
  expect(error.message).toContain(registry.toYaml());
  // The command of the message, by somebody who may.
  const command = /^malabar (config set .*)$/m.exec(error.message)?.[1] ?? '';
  const env = { MALABAR_ADDRESS: address(), MALABAR_TOKEN: tokens.ann ?? '' };
  const shell = `"$NODE" "$MALABAR" ${command}`;
  const more = { NODE: process.execPath, MALABAR };
  const { code, stderr } = await run('/bin/sh', ['-c', shell], { env: { ...env, ...more } });
  expect([code, stderr]).toEqual([0, '']);
  expect(await connected('eve').createTopics(registry)).toEqual([]);
});

test('who may not even look hears it too', async () => {
  const registry = createRegistry().register('kept', 'hidden', noop);
  tokens.mallory = 'mlb_not_a_token';
  for (const user of ['sam', 'mallory']) {
    const error = await refusal(connected(user).createTopics(registry));
    expect(error.code).toBe(user === 'sam' ? 'FORBIDDEN' : 'UNAUTHENTICATED');
    expect(error.message).toContain(registry.toYaml());
  }
});

test('a worker makes its topics, and those that somebody takes away', async () => {
  const seen: unknown[] = [];
  const registry = createRegistry().register('made', 'act', (params) => seen.push(params));
  const malabar = connected('bob');
  const worker = malabar.worker(registry, { name: 'maker' });
  const running = worker.run();
  await eventually(async () => malabar.publish('made', { n: 1 }), { timeoutMs: 20_000 });
  await eventually(() => expect(seen).toEqual([{ n: 1 }]));
  const env = { MALABAR_ADDRESS: address(), MALABAR_TOKEN: tokens.ann ?? '' };
  const args = ['config', 'unset', 'malabar', '/queues.conf', 'made', 'document', '--publish'];
  expect(await run(process.execPath, [MALABAR, ...args], { env })).toMatchObject({ code: 0 });
  await eventually(async () => malabar.publish('made', { n: 2 }), { timeoutMs: 20_000 });
  await eventually(() => expect(seen).toContainEqual({ n: 2 }), { timeoutMs: 20_000 });
  await worker.stop();
  await running;
});

test('a worker that cannot run says why', async () => {
  const conflicting = createRegistry().register('kept', 'there', { delay: '1s' }, noop);
  const error = await refusal(connected('bob').worker(conflicting).run());
  expect(error.message).toContain('delay is "30s", not "1s"; release 1 by file');
  const missing = createRegistry().register('kept', 'nowhere', noop);
  const expecting = connected('bob').worker(missing, { topics: 'expect' });
  expect((await refusal(expecting.run())).message).toContain(missing.toYaml());
  const web = createRegistry().register('kept', 'web', noop);
  const wrong = connected('bob').worker(web, { topics: 'expect' });
  await expect(wrong.run()).rejects.toMatchObject({
    name: 'MalabarError',
    message: expect.stringContaining('goes to http, not to workers'),
  });
  expect(() => connected('bob').worker(createRegistry())).toThrow('a worker needs a task');
});

test('toYaml is what malabar.yaml takes', async () => {
  const result = { queue: 'on', of: ['dead'] } as const;
  const registry = createRegistry()
    .register('on', 'true', noop)
    .register('123', '1e5', { delay: '10s', timeout: '1m', concurrency: 5, result }, noop)
    .register('a.b-c', '-', { retry: { attempts: 3, backoff: 'ladder', ladder: ['1s'] } }, noop);
  const file = join(tempDir('yaml'), 'malabar.yaml');
  writeFileSync(file, registry.toYaml());
  const checked = await run(process.execPath, [MALABAR, 'config', 'check', file]);
  expect(checked).toMatchObject({ code: 0, stderr: '' });
  expect(checked.stdout).toContain('3 queues');
});

test('a registration that is wrong is refused where it is made', () => {
  const registry = createRegistry().register('a', 't', noop);
  const faults: Array<[() => unknown, string]> = [
    [() => registry.register('a', 't', noop), 'task a/t is registered for a already'],
    [() => registry.register('a', 'x/y', noop), 'task "x/y": a name has'],
    [() => registry.register('a', 'u', { delay: 5 as never }, noop), 'task a/u: delay: 5 is not'],
    [() => registry.register('a', 'u', { dely: '5s' } as never, noop), "no option 'dely'"],
    [() => registry.register('a', 'u', { retry: { most: 1 } as never }, noop), "no option 'most'"],
    [() => registry.register('a', 'u', 'handler' as never), 'its handler is string'],
    [
      () => registry.register('b', 't', { queue: 'a', delay: '1s' }, noop),
      'registered for another event, there delay is not said, not "1s"',
    ],
  ];
  for (const [register, words] of faults) expect(register).toThrow(words);
});

test('a task of several events has a handler for each', async () => {
  const seen: string[] = [];
  const registry = createRegistry()
    .register('created', 'index', { queue: 'shop' }, () => seen.push('created'))
    .register('changed', 'index', { queue: 'shop' }, () => seen.push('changed'));
  const malabar = connected('bob');
  await malabar.createTopics(registry);
  const running = malabar.worker(registry).run();
  for (const event of ['created', 'changed']) {
    const { id } = await malabar.publish(event, {}, { queue: 'shop' });
    await endedAt(bus, 'index', id);
  }
  expect(seen).toEqual(['created', 'changed']);
  const { id } = await malabar.publish('gone', {}, { queue: 'shop' });
  const { history } = await eventually(async () => {
    const { deliveries } = await bus.storage.getJob({ jobId: id });
    expect(deliveries[0]?.history).toHaveLength(1);
    return deliveries[0] as NonNullable<(typeof deliveries)[0]>;
  });
  expect(history).toMatchObject([
    {
      outcome: common.OutcomeKind.RETRY,
      error:
        'UnknownTaskException: no handler for event gone at shop/index; only for created, changed (attempt 1)',
    },
  ]);
  await malabar.close();
  await running;
});
