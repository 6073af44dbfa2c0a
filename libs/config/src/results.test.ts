import { type config, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { queueConfig } from './bus-config.js';
import { BusFilesReader } from './bus-read.js';
import { loadConfig } from './load.js';
import { callbackQueues, resultFaults } from './results.js';

const { DONE, RETRYING, FAILED, DEAD, DISCARDED } = keeper.ResultStatus;

function queuesOf(text: string): keeper.QueueConfig[] {
  const { queues } = loadConfig({ file: 'malabar.yaml', text }).documents;
  return Object.entries(queues).flatMap(([name, queue]) => [
    queueConfig(name, queue),
    ...callbackQueues(name, queue),
  ]);
}

test('a topic that says no more is told of every end, and of retries if it asks for them', () => {
  const [, paid] = queuesOf(`
queues:
  told: { topics: {} }
  paid:
    topics:
      mail: { target: pull, result: { queue: told, of: [retrying] } }
      ship: { target: pull, result: { queue: told } }
`);
  expect(paid?.topics.map(({ result }) => result)).toEqual([
    { queue: 'told', of: [RETRYING] },
    { queue: 'told', of: [DONE, FAILED, DEAD, DISCARDED] },
  ]);
});

test('a URL is told by a queue of its own, which only the bus fills', () => {
  const [paid, callback] = queuesOf(`
systems: { shop: {} }
queues:
  paid: { system: shop, topics: { ship: { target: pull, result: { url: "https://shop/told" } } } }
`);
  expect(paid?.topics[0]?.result?.queue).toBe('result.paid.ship');
  expect(callback).toMatchObject({
    name: 'result.paid.ship',
    system: 'shop',
    passwordHash: 'none',
    topics: [
      {
        name: 'callback',
        target: { $case: 'http', value: { url: 'https://shop/told' } },
        start: keeper.TopicStart.BEGINNING,
        retry: { attempts: 10 },
      },
    ],
  });
});

test('results of results may go on as long as they end', () => {
  const telling = (queue: string) => ({ topics: { t: { result: { queue } } } });
  const none = { topics: {} };
  expect(resultFaults({ a: telling('b'), b: telling('c'), c: none })).toEqual([]);
  expect(resultFaults({ a: telling('b'), b: telling('c'), c: telling('b') })).toEqual([
    {
      path: ['b', 'topics', 't', 'result', 'queue'],
      message: 'results of results would never end: b > c > b',
    },
    {
      path: ['c', 'topics', 't', 'result', 'queue'],
      message: 'results of results would never end: c > b > c',
    },
  ]);
});

test('the queue of a callback is not to be written by hand', () => {
  const paid = { topics: { ship: { result: { url: 'https://shop' } } } };
  expect(resultFaults({ paid, 'result.paid.ship': { topics: {} } })).toEqual([
    { path: ['result.paid.ship'], message: 'is made by the topic paid/ship' },
  ]);
});

test('the keeper refuses results for a queue that is not there, and makes the queue of a callback', () => {
  const publish = (result: object): config.ConfigFile[] => {
    const raw = JSON.stringify({ topics: { ship: { target: 'pull', result } } });
    const entries = [{ key: 'document', type: 'json', raw }];
    const sections = [{ name: 'paid', entries }];
    return [{ path: '/queues.conf', sections, parent: '', schema: '' }];
  };
  const reader = new BusFilesReader();
  expect(reader.faults(publish({ queue: 'tld' }))).toMatchObject([
    {
      section: 'paid',
      key: 'document',
      message: "topics.ship.result.queue: 'tld' is not one of queues",
    },
  ]);
  const { queues } = reader.busConfig(publish({ url: 'http://shop' }));
  expect(queues.map(({ name }) => name)).toEqual(['paid', 'result.paid.ship']);
});

test('a ladder without steps climbs from seconds to hours', () => {
  const [queue] = queuesOf(
    'queues: { q: { topics: { t: { target: pull, retry: { backoff: ladder } } } } }',
  );
  expect(queue?.topics[0]?.retry).toMatchObject({
    backoff: keeper.Backoff.LADDER,
    ladderMs: [5_000, 300_000, 600_000, 3_600_000, 7_800_000],
  });
});
