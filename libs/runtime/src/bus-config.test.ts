import type { config, keeper } from '@malabar/contracts';
import { type ChangeSet, EffectiveView } from '@malabar/keeper-client';
import { expect, test } from 'vitest';
import { BusConfigFeed } from './bus-config.js';

const PULL = '{"topics": {"inbox": {"target": "pull"}}}';
const CLOSED =
  '{"password": {"secret": "keeper:password"}, "topics": {"inbox": {"target": "pull"}}}';

/** The domain as a keeper client hands it out. */
function view(release: number, queues: Record<string, string>): EffectiveView {
  const files = Object.entries(queues).map(([section, raw]): config.EffectiveFile => {
    const value = { key: 'document', type: 'json', raw, json: raw, file: '', section: '' };
    return { name: '/queues.conf', section, values: [value] };
  });
  const effective = { domain: 'malabar', release, checksum: String(release), files };
  return EffectiveView.of(effective, { source: 'keeper' });
}

/** The modules of a process by name: what they do with a release. */
function feedOf(modules: Record<string, (config: keeper.BusConfig) => void>) {
  const feed = new BusConfigFeed();
  for (const [name, onConfig] of Object.entries(modules)) feed.add(name, onConfig);
  const { onChange } = feed.subscription();
  return { feed, push: async (now: EffectiveView) => onChange?.(undefined as never, now) };
}

test('every module of a process gets each release, with its number', async () => {
  const seen: string[] = [];
  const note = (name: string) => (config: keeper.BusConfig) => {
    seen.push(`${name} ${config.release} ${config.queues.map((queue) => queue.name)}`);
  };
  const { feed, push } = feedOf({ ingest: note('ingest'), storage: note('storage') });
  await push(view(4, { paid: PULL }));
  await push(view(5, { paid: PULL, sent: PULL }));
  expect(seen).toEqual([
    'ingest 4 paid',
    'storage 4 paid',
    'ingest 5 paid,sent',
    'storage 5 paid,sent',
  ]);
  expect(feed.release).toBe(5);
});

test('what a module throws is the reason of the refusal; the others have the release all the same', async () => {
  const releases: number[] = [];
  const { feed, push } = feedOf({
    storage({ release }) {
      if (release === 2) throw new Error('a topic too many');
    },
    ingest: ({ release }) => void releases.push(release),
  });
  await push(view(1, { paid: PULL }));
  await expect(push(view(2, { paid: PULL }))).rejects.toThrow('storage: a topic too many');
  expect(releases).toEqual([1, 2]);
  expect(feed.release).toBe(1);
});

test('a release that this version cannot read is refused as a whole, with its place', async () => {
  const releases: number[] = [];
  const { push } = feedOf({ ingest: ({ release }) => void releases.push(release) });
  const refused = push(view(1, { paid: '{"topics": {}, "shards": 4}' }));
  await expect(refused).rejects.toThrow('/queues.conf: paid.document: shards: not supported yet');
  expect(releases).toEqual([]);
});

test('secrets come along if any module wants them', async () => {
  const feed = new BusConfigFeed();
  feed.add('storage', () => {}, { withoutSecrets: true });
  const subscription = feed.subscription();
  expect(subscription.withoutSecrets).toBe(true);
  await subscription.onChange?.(undefined as unknown as ChangeSet, view(1, { paid: CLOSED }));
  feed.add('ingest', () => {});
  const whole = feed.subscription();
  expect(whole.withoutSecrets).toBe(false);
  await expect(async () =>
    whole.onChange?.(undefined as unknown as ChangeSet, view(1, { paid: CLOSED })),
  ).rejects.toThrow('there is no key password of type secret');
});
