import type { sync } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { eventually, FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { ANN, remove, set, stage } from '../config/store.suite.js';
import type { HubOptions } from './hub.js';
import type { ReleaseSource } from './release-source.js';
import { asking, keeper, RawNode, valuesOf, welcomed } from './sync.suite.js';

const LARGE = 'x'.repeat(70_000);

describeBackends('a node', (place) => {
  test('hears of the release in force at once, and of each one after it, with the content', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const node = new RawNode(shop.address).hello('n');
    expect(await node.hear('welcome')).toEqual({ keeperId: 'keeper-1', reconcileMs: 30_000 });
    const first = await node.hear('notice');
    expect(first).toMatchObject({ domain: 'shop', release: 1, config: { release: 1 } });
    expect(valuesOf(first)).toEqual(['a=1']);
    await shop.publish([set('a', '2'), set('b', '3')]);
    const second = await node.hear('notice');
    expect(valuesOf(second)).toEqual(['a=2', 'b=3']);
    expect(second.checksum).not.toBe(first.checksum);
  });

  test('that runs the same content already is told the release, and gets nothing again', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const { checksum } = await (await welcomed(shop, 'n')).hear('notice');
    const node = await welcomed(shop, 'm', { domains: [asking({ checksum, release: 1 })] });
    expect(await node.hear('notice')).toEqual({ domain: 'shop', release: 1, checksum });
    node.report(1);
    await shop.publish([set('other', '1', '', '/other.conf')]);
    expect(await node.hear('notice')).toEqual({ domain: 'shop', release: 2, checksum });
  });

  test('pulls a content that is too large to be sent unasked', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', LARGE)]);
    const node = await welcomed(shop, 'n');
    const notice = await node.hear('notice');
    expect(notice).toMatchObject({ release: 1, config: undefined });
    const pulled = await node.pull().hear('notice');
    expect(valuesOf(pulled)).toEqual([`a=${LARGE}`]);
    expect(pulled.checksum).toBe(notice.checksum);
  });

  test('without a right to secrets, or a wish for them, gets none', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1'), set('password', 'open sesame', 'secret')]);
    const all = await (await welcomed(shop, 'n')).hear('notice');
    expect(valuesOf(all)).toEqual(['a=1', 'password=open sesame']);
    const domains = [asking({ withoutSecrets: true })];
    const some = await (await welcomed(shop, 'm', { domains })).hear('notice');
    expect(valuesOf(some)).toEqual(['a=1']);
  });

  test('that has a section of its own gets a content of its own', async () => {
    const shop = await keeper((await place()).backend);
    const own = { file: '/app.conf', section: 'n', key: 'a', type: '', raw: 'mine' };
    await shop.publish([set('a', '1'), { operation: { $case: 'setKey', value: own } }]);
    expect(valuesOf(await (await welcomed(shop, 'n')).hear('notice'))).toEqual(['a=mine']);
    expect(valuesOf(await (await welcomed(shop, 'm')).hear('notice'))).toEqual(['a=1']);
  });

  test('in a canary is offered its release, and what it had when that is aborted', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const [chosen, other] = [await welcomed(shop, 'chosen'), await welcomed(shop, 'other')];
    for (const node of [chosen, other])
      expect(valuesOf(await node.hear('notice'))).toEqual(['a=1']);
    const canary = { nodeIds: ['chosen'], tags: {}, percent: 0 };
    await shop.publish([set('a', '2')], { canary });
    expect(valuesOf(await chosen.hear('notice'))).toEqual(['a=2']);
    await shop.store.abort({ domain: 'shop', release: 2, note: '' }, ANN);
    expect(await chosen.hear('notice')).toMatchObject({ release: 1 });
    await shop.publish([set('a', '3')]);
    expect(valuesOf(await other.hear('notice'))).toEqual(['a=3']);
  });

  test('that does not report gets only the newest of a thousand releases, others all they can', async () => {
    const shop = await keeper((await place()).backend, { clock: new FakeClock() });
    await shop.publish([set('a', '0')]);
    const [slow, quick] = [await welcomed(shop, 'slow'), await welcomed(shop, 'quick')];
    for (const node of [slow, quick]) {
      expect(valuesOf(await node.hear('notice'))).toEqual(['a=0']);
      node.report(1);
    }
    await eventually(() => expect(shop.hub.nodes('shop').map((n) => n.release)).toEqual([1, 1]));
    for (let at = 1; at <= 1_000; at++) {
      await shop.publish([set('a', String(at))]);
      if (at <= 10) expect(valuesOf(await quick.hear('notice'))).toEqual([`a=${at}`]);
      if (at < 10) quick.report(at + 1);
    }
    // The first was on its way before anybody could know that the node would be slow.
    expect(valuesOf(await slow.hear('notice'))).toEqual(['a=1']);
    expect(valuesOf(await slow.report(2).hear('notice'))).toEqual(['a=1000']);
    expect(valuesOf(await quick.report(11).hear('notice'))).toEqual(['a=1000']);
  });
});

describeBackends('a domain', (place) => {
  test('that is not there, or has no release, is denied until it has one', async () => {
    const shop = await keeper((await place()).backend);
    const node = await welcomed(shop, 'n', { domains: [asking(), asking({ domain: 'later' })] });
    expect(await node.hear('denied')).toEqual({
      domain: 'shop',
      code: 'NOT_FOUND',
      message: 'domain shop has no release yet',
    });
    expect(await node.hear('denied')).toMatchObject({ domain: 'later', code: 'NOT_FOUND' });
    await shop.publish([set('a', '1')]);
    expect(await node.hear('notice')).toMatchObject({ domain: 'shop', release: 1 });
    await shop.store.ensureDomain('later', {}, ANN);
    expect(await node.hear('denied')).toMatchObject({ message: 'domain later has no release yet' });
    await shop.publish([set('a', '1')], { domain: 'later', expectedRelease: 0 });
    expect(await node.hear('notice')).toMatchObject({ domain: 'later', release: 1 });
  });

  test('that is deleted is denied to those who run it', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    await shop.store.deleteDomain({ domain: 'shop', expectedRelease: 1 }, ANN);
    expect(await node.hear('denied')).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describeBackends('rights', (place) => {
  test('are asked again at every reminder: who loses them is told, and who gets them', async () => {
    const clock = new FakeClock();
    let may = false;
    const { backend } = await place();
    const shop = await keeper(backend, { clock, reconcileMs: 1_000, mayReceive: () => may });
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    expect(await node.hear('denied')).toMatchObject({ code: 'FORBIDDEN' });
    expect(shop.hub.nodes('shop')).toEqual([]);
    may = true;
    await clock.advance(1_000);
    expect(valuesOf(await node.hear('notice'))).toEqual(['a=1']);
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ id: 'n' }]));
    may = false;
    await clock.advance(1_000);
    expect(await node.hear('denied')).toMatchObject({ code: 'FORBIDDEN' });
    await shop.publish([remove('a')]);
    await clock.advance(1_000);
    expect(await node.hear('denied')).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describeBackends('reminders', (place) => {
  test('repeat the notice without its content, to every node once a period', async () => {
    const clock = new FakeClock();
    const shop = await keeper((await place()).backend, { clock, reconcileMs: 30_000 });
    await shop.publish([set('a', '1')]);
    const nodes = await Promise.all(
      Array.from({ length: 25 }, (_, at) => welcomed(shop, `node-${at}`)),
    );
    for (const node of nodes) expect(valuesOf(await node.hear('notice'))).toEqual(['a=1']);
    await clock.advance(30_000);
    for (const node of nodes) {
      expect(await node.hear('notice')).toMatchObject({ release: 1, config: undefined });
    }
  });
});

describeBackends('a stream', (place) => {
  const asked = (more: Partial<sync.DomainSubscription>): Partial<sync.Hello> => ({
    domains: [asking(more)],
  });
  const file = (path: string, verbatim = false) => [{ file: path, section: '', verbatim }];
  const long = 'x'.repeat(300);
  const many = (count: number, path = '/a.conf') => Array(count).fill(file(path)[0]);

  test.each<[string, Partial<sync.Hello>]>([
    ['node id "" is not 1 to 128 visible ASCII characters', { nodeId: '' }],
    ['node id "a b" is not', { nodeId: 'a b' }],
    ['is not 1 to 128', { nodeId: 'n'.repeat(129) }],
    ['component has 300 characters; at most 256', { component: long }],
    ['tag env has 303 characters; at most 256', { tags: { env: long } }],
    ['node n asks for no domain', { domains: [] }],
    ['node n asks for a domain twice', { domains: [asking(), asking()] }],
    ['65 domains; at most 64', { domains: Array(65).fill(asking()) }],
    ['domain name "../etc"', asked({ domain: '../etc' })],
    ["has a name that begins with '.'", asked({ subscriptions: file('/../a.conf') })],
    ['domain shop: file path "*"', asked({ subscriptions: file('*') })],
    ['257 subscriptions of shop; at most 256', asked({ subscriptions: many(257) })],
  ])('whose hello is not in order is refused: %s', async (message, more) => {
    const shop = await keeper((await place()).backend);
    const node = new RawNode(shop.address).hello('n', more);
    const heard = node.hear('welcome');
    await expect(heard).rejects.toMatchObject({ code: 'INVALID' });
    await expect(heard).rejects.toThrow(message);
    expect(shop.hub.size).toBe(0);
  });

  test('may ask for every file as it is', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1'), set('b', '2', '', '/other.conf')]);
    const domains = [asking({ subscriptions: file('*', true) })];
    const { config } = await (await welcomed(shop, 'n', { domains })).hear('notice');
    expect(config?.files).toMatchObject([
      { name: '/app.conf', section: 'DEFAULT', values: [{ key: 'a' }] },
      { name: '/other.conf', section: 'DEFAULT', values: [{ key: 'b' }] },
    ]);
  });

  test('ends when its node speaks out of turn', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    await expect(new RawNode(shop.address).pull().hear('welcome')).rejects.toMatchObject({
      code: 'INVALID',
      message: 'the first message of a node is hello',
    });
    for (const [say, message] of [
      [(node: RawNode) => node.hello('n'), 'node n: hello is said once'],
      [(node: RawNode) => node.pull('bank'), 'node n: its hello did not ask for domain "bank"'],
      [(node: RawNode) => node.say(undefined), 'node n: the message is empty'],
    ] as const) {
      const node = await welcomed(shop, 'n');
      await node.hear('notice');
      say(node);
      await expect(node.hear('notice')).rejects.toMatchObject({ code: 'INVALID', message });
    }
  });

  test('ends when the same node says hello again', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const first = await welcomed(shop, 'n');
    await first.hear('notice');
    const second = await welcomed(shop, 'n');
    await expect(first.hear('notice')).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('node n has said hello again'),
    });
    await second.hear('notice');
    await eventually(() => expect(shop.hub.nodes('shop')).toHaveLength(1));
  });

  test('stays when somebody without rights says hello by its name', async () => {
    const { backend } = await place();
    const mayReceive: HubOptions['mayReceive'] = ({ metadata }) => !metadata.has('stranger');
    const shop = await keeper(backend, { mayReceive });
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    const stranger = new RawNode(shop.address, { stranger: 'yes' }).hello('n');
    await stranger.hear('welcome');
    expect(await stranger.hear('denied')).toMatchObject({ code: 'FORBIDDEN' });
    await shop.publish([set('a', '2')]);
    expect(valuesOf(await node.hear('notice'))).toEqual(['a=2']);
  });

  test('ends with UNAVAILABLE when the keeper stops', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    shop.hub.close();
    await expect(node.hear('notice')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'keeper keeper-1 stops: connect to another',
    });
    await expect(welcomed(shop, 'n')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describeBackends('a release that cannot be read', (place) => {
  test('is denied, and tried again a second later', async () => {
    const clock = new FakeClock();
    const { store, publish } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    let broken = true;
    const source: ReleaseSource = {
      domains: store.domains,
      onChange: (listener) => store.onChange(listener),
      unseal: (domain, files) => store.unseal(domain, files),
      offeredRelease: (domain, node) => store.offeredRelease(domain, node),
      async content(domain, release) {
        if (broken) throw new BusError('UNAVAILABLE', 'the backend does not answer');
        return store.content(domain, release);
      },
    };
    const shop = await keeper((await place()).backend, { clock, source });
    const node = await welcomed(shop, 'n');
    expect(await node.hear('denied')).toMatchObject({ code: 'UNAVAILABLE' });
    broken = false;
    await clock.advance(1_000);
    expect(valuesOf(await node.hear('notice'))).toEqual(['a=1']);
  });
});
