import { eventually } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';

const STEADY = 'steady: { topics: { inbox: { target: pull } } }';

let bus: Bus;
let client: Redis;

beforeAll(async () => {
  bus = await startBus({ mode: 'many-processes', documents: `queues: { ${STEADY} }` });
  client = new Redis({ port: bus.ports.redis, host: '127.0.0.1' });
});

afterAll(async () => {
  client?.disconnect();
  await bus?.stop();
});

test('saving malabar.yaml adds a queue to the running bus, and its neighbour feels nothing', async () => {
  expect(await client.lpush('steady', 'before')).toBe(1);
  await expect(client.lpush('fresh', 'x')).rejects.toThrow(/NOQUEUE/);
  const pushing = keepPushing('steady');
  bus.save(`queues: { ${STEADY}, fresh: { topics: { inbox: { target: pull } } } }`);
  await eventually(async () => expect(await client.lpush('fresh', 'x')).toBeGreaterThan(0));
  expect(await pushing.stop()).toEqual([]);
});

test('a broken file is refused with its line, and the last good configuration stays', async () => {
  bus.save(`queues:\n  steady:\n    topics:\n      inbox: { target: pull, concurency: 3 }\n`);
  await eventually(() => expect(bus.log('keeper')).toMatch(/malabar\.yaml:4.*concurency/));
  expect(await client.lpush('steady', 'still here')).toBeGreaterThan(0);
  expect(await client.lpush('fresh', 'still here')).toBeGreaterThan(0);
});

test('a queue taken out of the file is refused; back in it, it has kept its jobs', async () => {
  const waiting = await client.llen('fresh');
  bus.save(`queues: { ${STEADY} }`);
  await eventually(() => expect(client.lpush('fresh', 'x')).rejects.toThrow(/NOQUEUE/));
  bus.save(`queues: { ${STEADY}, fresh: { topics: { inbox: { target: pull } } } }`);
  await eventually(async () => expect(await client.llen('fresh')).toBeGreaterThanOrEqual(waiting));
});

/** Pushes without a pause; `stop` tells the errors that were met. */
function keepPushing(queue: string): { stop(): Promise<string[]> } {
  const errors: string[] = [];
  let running = true;
  const loop = (async () => {
    while (running) {
      await client.lpush(queue, 'x').catch((error: Error) => errors.push(error.message));
    }
  })();
  return {
    async stop() {
      running = false;
      await loop;
      return errors;
    },
  };
}
