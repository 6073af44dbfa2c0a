import { common, keeper } from '@malabar/contracts';
import { eventually, needs, packages, type RabbitmqServer, rabbitmqServer } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Rig, startRig } from '../rig.suite.js';
import { queueConfig, StorageDouble } from '../storage-double.suite.js';
import { exportSources } from './metrics.js';
import { connectPeer, exchangeConfig, routedBy, sourceConfig } from './rabbitmq.suite.js';

const PATIENCE = { timeoutMs: 30_000 };
const { RabbitmqExchangeType: Type, SourceBody: Body } = keeper;

needs(describe, await packages.rabbitmq())('sources', () => {
  let server: RabbitmqServer;
  beforeAll(async () => {
    server = await rabbitmqServer();
  });
  afterAll(() => server?.stop());

  const figuresOf = ({ ingest }: Rig, name: string) => {
    const found = ingest.sources.figures().find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no source ${name}`);
    return found;
  };
  const connected = (rig: Rig, name: string) =>
    eventually(
      () => expect(figuresOf(rig, name)).toMatchObject({ connected: true, waiting: '' }),
      PATIENCE,
    );
  const configured = (rig: Rig, ...sources: keeper.SourceConfig[]): void =>
    rig.ingest.configure({ release: 2, queues: [queueConfig('q')], schedules: [], sources });

  test.each([
    [
      'topic',
      Type.TOPIC,
      routedBy('*.*.WAIT_SELLER_SEND_GOODS', 'all.#'),
      ['a.b.WAIT_SELLER_SEND_GOODS', 'all', 'all.x.y'],
      ['a.WAIT_SELLER_SEND_GOODS', 'b.all'],
    ],
    ['direct', Type.DIRECT, routedBy('paid', 'sent'), ['paid', 'sent'], ['pai', '*']],
    ['fanout', Type.FANOUT, routedBy(''), ['anything', ''], []],
  ] as const)(
    'what a %s exchange routes by its patterns becomes jobs',
    async (kind, type, bindings, yes, no) => {
      const source = sourceConfig(server, {
        name: kind,
        exchange: exchangeConfig(`e.${kind}`, type),
        bindings,
      });
      const rig = await startRig({ sources: [source] });
      await connected(rig, kind);
      const peer = await connectPeer(server);
      for (const key of no) {
        await expect(peer.publish(`e.${kind}`, key, key)).rejects.toMatchObject({
          kind: 'unroutable',
        });
      }
      for (const key of yes) await peer.publish(`e.${kind}`, key, key);
      await eventually(() => expect(rig.storage.bodies()).toEqual(yes));
      expect(rig.storage.jobs.map(({ job }) => job.headers['rabbitmq-routing-key'] ?? '')).toEqual(
        yes,
      );
      await eventually(() =>
        expect(figuresOf(rig, kind)).toMatchObject({ acknowledged: yes.length, held: 0 }),
      );
    },
  );

  test('what a headers exchange routes by headers becomes jobs', async () => {
    const bindings = [
      { routingKey: '', headers: { country: 'DE', kind: 'food', 'x-match': 'any' } },
    ];
    const exchange = exchangeConfig('e.headers', Type.HEADERS);
    const rig = await startRig({
      sources: [sourceConfig(server, { name: 'headers', exchange, bindings })],
    });
    await connected(rig, 'headers');
    const peer = await connectPeer(server);
    await peer.publish('e.headers', '', 'one', { headers: { country: 'DE' } });
    await expect(
      peer.publish('e.headers', '', 'no', { headers: { country: 'FR' } }),
    ).rejects.toThrow();
    await peer.publish('e.headers', '', 'two', { headers: { country: 'FR', kind: 'food' } });
    await eventually(() => expect(rig.storage.bodies()).toEqual(['one', 'two']));
  });

  test('a job says all that its message said', async () => {
    const rig = await startRig({ sources: [sourceConfig(server, { name: 'told' })] });
    await connected(rig, 'told');
    const peer = await connectPeer(server);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await peer.publish('', 'malabar.told', Buffer.from([0, 255, 10]), {
      messageId: 'm1',
      correlationId: 'c1',
      contentType: 'image/png',
      contentEncoding: 'gzip',
      type: 'paid',
      appId: 'shop',
      replyTo: 'answers',
      timestamp: 1_700_000_000,
      priority: 200,
      headers: {
        traceparent,
        user: 'ann',
        n: 5,
        list: ['a', 1],
        at: { '!': 'timestamp', value: 7 },
        'malabar-run': 'forged',
        'rabbitmq-type': 'forged',
        'two words': 'x',
        big: 'x'.repeat(17_000),
      },
    });
    await eventually(() => expect(rig.storage.jobs).toHaveLength(1));
    const [{ job, options }] = rig.storage.jobs as [(typeof rig.storage.jobs)[0]];
    expect(job).toEqual(
      common.Job.fromPartial({
        body: Buffer.from([0, 255, 10]),
        contentType: 'image/png',
        traceParent: traceparent,
        priority: 9,
        idempotencyKey: 'rabbitmq/told/m1',
        headers: {
          'rabbitmq-routing-key': 'malabar.told',
          'rabbitmq-message-id': 'm1',
          'rabbitmq-correlation-id': 'c1',
          'rabbitmq-type': 'paid',
          'rabbitmq-app-id': 'shop',
          'rabbitmq-reply-to': 'answers',
          'rabbitmq-content-encoding': 'gzip',
          'rabbitmq-timestamp': '1700000000',
          user: 'ann',
          n: '5',
          list: '["a",1]',
          at: '7',
          'rabbitmq-headers-left-out': '3',
        },
      }),
    );
    expect(options).toMatchObject({ idempotencyKey: 'rabbitmq/told/m1', priority: 9 });
  });

  test('message ids mean nothing to a source that is told so', async () => {
    const rig = await startRig({
      sources: [sourceConfig(server, { name: 'plain', unique: false })],
    });
    await connected(rig, 'plain');
    await (await connectPeer(server)).publish('', 'malabar.plain', 'x', { messageId: 'm1' });
    await eventually(() => expect(rig.storage.jobs).toMatchObject([{ options: undefined }]));
  });

  test('nothing is acknowledged before storage has it, and no more is taken than the prefetch', async () => {
    const source = sourceConfig(server, { name: 'slow', prefetch: 5 });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'slow');
    const peer = await connectPeer(server);
    rig.storage.holding = true;
    const bodies = Array.from({ length: 12 }, (_, n) => `${n}`);
    for (const body of bodies) await peer.publish('', source.from, body);
    await eventually(() =>
      expect(figuresOf(rig, 'slow')).toMatchObject({ taken: 5, held: 5, acknowledged: 0 }),
    );
    expect(await peer.count(source.from)).toBe(7);
    rig.storage.holding = false;
    rig.storage.release();
    await eventually(() =>
      expect(figuresOf(rig, 'slow')).toMatchObject({ taken: 12, held: 0, acknowledged: 12 }),
    );
    expect(rig.storage.bodies()).toEqual(bodies);
  });

  test('while storage is away messages stay, and come in their order when it is back', async () => {
    const storage = new StorageDouble();
    const source = sourceConfig(server, { name: 'away', prefetch: 3 });
    const rig = await startRig({ storage, sources: [source] });
    await connected(rig, 'away');
    storage.down = true;
    storage.breakStreams();
    await eventually(() => rig.ingest.intake.notReady().length > 0);
    const peer = await connectPeer(server);
    const bodies = Array.from({ length: 9 }, (_, n) => `${n}`);
    for (const body of bodies) await peer.publish('', source.from, body);
    await eventually(() =>
      expect(figuresOf(rig, 'away')).toMatchObject({
        held: 3,
        waiting: 'storage is not reachable; nothing was stored, try again',
      }),
    );
    expect(await peer.count(source.from)).toBe(6);
    expect(rig.storage.bodies()).toEqual([]);
    storage.down = false;
    await eventually(() => expect(rig.storage.bodies()).toEqual(bodies), PATIENCE);
    await eventually(() => expect(figuresOf(rig, 'away')).toMatchObject({ waiting: '', held: 0 }));
    expect(await peer.count(source.from)).toBe(0);
  });

  test('what a full queue refuses is tried again', async () => {
    const rig = await startRig({ sources: [sourceConfig(server, { name: 'full' })] });
    await connected(rig, 'full');
    let full = true;
    rig.storage.answer = (response, { count }) => {
      if (!full) return;
      const fault = { code: 'QUEUE_FULL', message: 'queue q is full' };
      for (let index = 0; index < count; index++)
        (response.exceptions as unknown[]).push({ index, fault, duplicateOf: '' });
    };
    await (await connectPeer(server)).publish('', 'malabar.full', 'x');
    await eventually(() => expect(figuresOf(rig, 'full').waiting).toBe('queue q is full'));
    expect(figuresOf(rig, 'full')).toMatchObject({ held: 1, acknowledged: 0, refused: 0 });
    full = false;
    await eventually(() =>
      expect(figuresOf(rig, 'full')).toMatchObject({ held: 0, acknowledged: 1, waiting: '' }),
    );
  });

  test('what can never become a job is put aside with the reason, and nothing behind it waits', async () => {
    const json = sourceConfig(server, { name: 'json', body: Body.JSON });
    const php = sourceConfig(server, { name: 'php', body: Body.PHP });
    const rig = await startRig({ sources: [json, php] });
    await connected(rig, 'json');
    await connected(rig, 'php');
    const peer = await connectPeer(server);
    await peer.publish('', json.from, '{"secret":', { messageId: 'm1', headers: { user: 'ann' } });
    await peer.publish('', json.from, Buffer.from([0x22, 0xff, 0x22]));
    await peer.publish('', json.from, '"ok"');
    await peer.publish('', json.from, `"${'x'.repeat(2000)}"`);
    await peer.publish('', php.from, 'O:8:"Exploit\u0001":0:{}');
    await peer.publish('', php.from, 'a:1:{i:0;R:1;}');
    await peer.publish('', php.from, 'a:1:{s:5:"order";i:7;}');
    await peer.publish(
      '',
      php.from,
      'a:2:{s:5:"etime";i:1481000000;s:4:"body";a:1:{s:2:"id";i:9;}}',
    );
    await eventually(() =>
      expect(figuresOf(rig, 'json')).toMatchObject({ refused: 3, acknowledged: 1, held: 0 }),
    );
    await eventually(() =>
      expect(figuresOf(rig, 'php')).toMatchObject({ refused: 2, acknowledged: 2, held: 0 }),
    );
    expect(rig.storage.bodies().sort()).toEqual(['"ok"', '{"id":9}', '{"order":7}']);
    const envelope = rig.storage.jobs.find(({ body }) => body === '{"id":9}')?.job;
    expect(envelope).toMatchObject({
      contentType: 'application/json',
      headers: { 'rabbitmq-etime': '1481000000' },
    });
    const aside = await peer.drain(json.poison);
    await eventually(() => expect(aside).toHaveLength(3));
    expect(aside[0]).toMatchObject({
      body: Buffer.from('{"secret":'),
      properties: {
        messageId: 'm1',
        headers: {
          user: 'ann',
          'malabar-source': 'json',
          'malabar-refused': 'INVALID: the body is no JSON',
          'malabar-exchange': '',
          'malabar-routing-key': json.from,
        },
      },
    });
    const reasons = aside.map(({ properties }) => properties.headers?.['malabar-refused']);
    expect(reasons[1]).toBe('INVALID: the body is no JSON: it is not UTF-8');
    expect(reasons[2]).toMatch(/^TOO_LARGE: body of 2002 bytes, queue "q" takes at most 1024/);
    const refused = await peer.drain(php.poison);
    await eventually(() => expect(refused).toHaveLength(2));
    expect(`${refused[0]?.properties.headers?.['malabar-refused']}`).toMatch(
      /^INVALID: PHP-serialized: .*at byte/,
    );
    exportSources(rig.metrics, () => rig.ingest.sources.figures());
    const text = await rig.metrics.registry.metrics();
    expect(text).toContain('malabar_ingest_source_refused_total{source="json",code="TOO_LARGE"} 1');
    expect(text).toContain('malabar_ingest_source_acknowledged_total{source="php"} 2');
    expect(text).toContain('malabar_ingest_source_connected{source="php"} 1');
  });

  test('a message whose headers leave no room for ours is put aside without them', async () => {
    const source = sourceConfig(server, { name: 'crammed', body: Body.JSON });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'crammed');
    const peer = await connectPeer(server);
    const headers = { big: 'x'.repeat(65_450) };
    await peer.publish('', source.from, 'no json', { headers });
    await eventually(() =>
      expect(figuresOf(rig, 'crammed')).toMatchObject({ refused: 1, held: 0 }),
    );
    const aside = await peer.drain(source.poison);
    await eventually(() => expect(aside).toHaveLength(1));
    expect(aside[0]?.properties.headers).toMatchObject({ 'malabar-headers-left-out': 'all' });
  });

  test('a poison queue that is deleted is made again before a message leaves its place', async () => {
    const source = sourceConfig(server, { name: 'unsafe', body: Body.JSON });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'unsafe');
    const peer = await connectPeer(server);
    await peer.connection.deleteQueue(source.poison);
    await peer.publish('', source.from, 'no json');
    await eventually(
      () => expect(figuresOf(rig, 'unsafe')).toMatchObject({ refused: 1, held: 0 }),
      PATIENCE,
    );
    expect(figuresOf(rig, 'unsafe').reconnects).toBe(1);
    expect(await peer.count(source.poison)).toBe(1);
  });

  test('a queue that is deleted is made and bound again', async () => {
    const exchange = exchangeConfig('e.again');
    const source = sourceConfig(server, { name: 'again', exchange, bindings: routedBy('a') });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'again');
    const peer = await connectPeer(server);
    await peer.connection.deleteQueue(source.from);
    await eventually(() => expect(figuresOf(rig, 'again').reconnects).toBe(1), PATIENCE);
    await peer.publish('e.again', 'a', 'x');
    await eventually(() => expect(rig.storage.bodies()).toEqual(['x']));
  });

  test('why a source does not consume is told, and it consumes once that is mended', async () => {
    const wrong = sourceConfig(server, { name: 'wrong' });
    const password = { ...(wrong.server as keeper.RabbitmqServer), password: 'beet' };
    const exchange = exchangeConfig('e.missing', Type.TOPIC, false);
    const missing = sourceConfig(server, { name: 'missing', exchange, bindings: routedBy('a') });
    const rig = await startRig({ sources: [{ ...wrong, server: password }, missing] });
    await eventually(() =>
      expect(figuresOf(rig, 'wrong').waiting).toMatch(/^ACCESS_REFUSED - Login was refused/),
    );
    await eventually(() =>
      expect(figuresOf(rig, 'missing').waiting).toBe(
        "NOT_FOUND - no exchange 'e.missing' in vhost '/'",
      ),
    );
    expect(rig.ingest.sources.figures().every((each) => !each.connected)).toBe(true);
    const peer = await connectPeer(server);
    await peer.connection.exchange({ name: 'e.missing', type: 'topic', declare: true });
    configured(rig, wrong, missing);
    await connected(rig, 'wrong');
    await connected(rig, 'missing');
    await peer.publish('e.missing', 'a', 'x');
    await eventually(() => expect(rig.storage.bodies()).toEqual(['x']));
  });

  test('a source that is changed goes on without loss, and what it was bound to it is no longer', async () => {
    const exchange = exchangeConfig('e.hot');
    const before = sourceConfig(server, { name: 'hot', exchange, bindings: routedBy('a', 'b') });
    const rig = await startRig({ sources: [before] });
    await connected(rig, 'hot');
    const peer = await connectPeer(server);
    const sent: string[] = [];
    let going = true;
    const publishing = (async () => {
      for (let n = 0; going; n++) {
        await peer.publish('e.hot', 'a', `${n}`, { messageId: `a${n}` });
        sent.push(`${n}`);
      }
    })();
    const change = (bindings: keeper.RabbitmqBinding[], prefetch: number) =>
      configured(rig, { ...before, bindings, prefetch });
    for (const prefetch of [3, 400, 1, 50]) {
      const soFar = rig.storage.jobs.length;
      change(routedBy('a', 'b'), prefetch);
      await eventually(() => rig.storage.jobs.length > soFar + 20, PATIENCE);
    }
    change(routedBy('a', 'c'), 500);
    await eventually(async () => {
      await peer.publish('e.hot', 'c', 'c', { messageId: 'c' });
      await expect(peer.publish('e.hot', 'b', 'b', { messageId: 'b' })).rejects.toMatchObject({
        kind: 'unroutable',
      });
    }, PATIENCE);
    going = false;
    await publishing;
    await eventually(() => {
      const got = new Set(rig.storage.bodies());
      expect(sent.filter((body) => !got.has(body))).toEqual([]);
    });
  });

  test('a source that is removed leaves its messages where they are', async () => {
    const source = sourceConfig(server, { name: 'gone' });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'gone');
    rig.storage.holding = true;
    const peer = await connectPeer(server);
    await peer.publish('', source.from, 'under way');
    await eventually(() => rig.storage.held === 1);
    configured(rig);
    rig.storage.holding = false;
    rig.storage.release();
    await eventually(() => expect(rig.ingest.sources.figures()).toEqual([]));
    expect(rig.storage.bodies()).toEqual(['under way']);
    await peer.publish('', source.from, 'later');
    expect(await peer.count(source.from)).toBe(1);
    configured(rig, source);
    await eventually(() => expect(rig.storage.bodies()).toEqual(['under way', 'later']));
  });

  test('while RabbitMQ is short of disk jobs are made on, and poison waits without holding them up', async () => {
    const source = sourceConfig(server, { name: 'alarm', body: Body.JSON, prefetch: 10 });
    const peer = await connectPeer(server);
    await peer.connection.queue(source.from);
    const bodies = Array.from({ length: 200 }, (_, n) => `${n}`);
    for (const body of ['no json', ...bodies]) await peer.publish('', source.from, body);
    await server.control('set_disk_free_limit', '100000GB');
    const rig = await startRig({ sources: [source] });
    await eventually(() => expect(rig.storage.bodies()).toEqual(bodies), PATIENCE);
    await eventually(() =>
      expect(figuresOf(rig, 'alarm')).toMatchObject({ acknowledged: 200, refused: 0, held: 1 }),
    );
    await server.control('set_disk_free_limit', '1MB');
    await eventually(
      () => expect(figuresOf(rig, 'alarm')).toMatchObject({ refused: 1, held: 0 }),
      PATIENCE,
    );
    expect(await peer.count(source.poison)).toBe(1);
  });

  test('when RabbitMQ is killed while it is published to, every confirmed message becomes a job', async () => {
    const source = sourceConfig(server, {
      name: 'killed',
      exchange: exchangeConfig('e.killed'),
      bindings: routedBy('#'),
      prefetch: 50,
    });
    const rig = await startRig({ sources: [source] });
    await connected(rig, 'killed');
    const confirmed: string[] = [];
    for (let round = 0; round < 2; round++) {
      const peer = await connectPeer(server);
      const publish = async (n: number): Promise<void> => {
        const id = `${round}-${n}`;
        await peer.publish('e.killed', 'k', id, { messageId: id });
        confirmed.push(id);
      };
      const all = Array.from({ length: 3000 }, (_, n) => publish(n).catch(() => {}));
      await eventually(() => confirmed.length > round * 3000 + 200, { everyMs: 1 });
      server.kill('SIGKILL');
      await Promise.all(all);
      await server.exited;
      server = await rabbitmqServer({ after: server });
      await connected(rig, 'killed');
    }
    await eventually(() => {
      const got = new Set(rig.storage.bodies());
      expect(confirmed.filter((id) => !got.has(id))).toEqual([]);
    }, PATIENCE);
    // Storage takes a key once (its own tests show it): what came again says so by its key.
    for (const { job } of rig.storage.jobs) {
      expect(job.idempotencyKey).toBe(`rabbitmq/killed/${Buffer.from(job.body)}`);
    }
    await eventually(() =>
      expect(figuresOf(rig, 'killed')).toMatchObject({ held: 0, reconnects: 2 }),
    );
    expect(confirmed.length).toBeGreaterThan(400);
  });
});
