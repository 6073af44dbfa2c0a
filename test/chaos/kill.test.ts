import { setTimeout as pause } from 'node:timers/promises';
import { eventually, seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { type Bus, type Part, startBus } from '../harness/bus.js';
import { Ledger, startConsumer } from './ledger.js';
import { Producer } from './producer.js';

/** How often each process is killed; the acceptance of the project asks for fifty. */
const KILLS = Number(process.env.CHAOS_KILLS ?? 50);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const PRODUCERS = 16;

test.each<[mode: 'one-process' | 'many-processes', victim: Part]>([
  ['one-process', 'all'],
  ['many-processes', 'ingest'],
  ['many-processes', 'storage'],
  ['many-processes', 'dispatcher'],
])(
  'no acknowledged job is lost when %s: %s is killed again and again',
  { timeout: 900_000 },
  async (mode, victim) => {
    const ledger = new Ledger();
    const consumer = await startConsumer(ledger);
    const bus = await startBus({ mode, documents: documents(consumer.url) });
    try {
      const producers = Array.from(
        { length: PRODUCERS },
        (_, i) => new Producer(`p${i}`, bus.ports.redis, 'orders', ledger),
      );
      for (const producer of producers) producer.start();
      await killRepeatedly(bus, victim);
      for (const producer of producers) await producer.stop();
      await settled(bus);
      report(`${mode}, ${victim} killed ${KILLS} times`, ledger);
      expect(ledger.accepted.size).toBeGreaterThan(KILLS);
      expect(ledger.missing()).toEqual([]);
      expect(await problems(bus)).toEqual([]);
    } finally {
      await bus.stop();
      await consumer.stop();
    }
  },
);

const documents = (url: string): string => `
queues:
  orders:
    topics:
      ship:
        target: ${url}
        concurrency: 16
        retry: { attempts: 1000, min: 50ms, max: 200ms, crashes: 1000 }
`;

async function killRepeatedly(bus: Bus, victim: Part): Promise<void> {
  const random = seededRandom(SEED);
  for (let i = 0; i < KILLS; i++) {
    await pause(20 + random() * 300);
    await bus.kill(victim, 'SIGKILL');
    await bus.start(victim);
    await bus.ready();
  }
}

/** Waits until nothing is ready, scheduled or leased any more. */
async function settled(bus: Bus): Promise<void> {
  await eventually(
    async () => {
      const { queues } = await bus.storage.listQueues({ queue: 'orders' });
      const [topic] = queues[0]?.topics ?? [];
      expect(topic).toMatchObject({ ready: 0, scheduled: 0, leased: 0, dead: 0 });
    },
    { timeoutMs: 120_000 },
  );
}

async function problems(bus: Bus): Promise<string[]> {
  for await (const findings of bus.storage.verify({ queue: '' })) {
    if (findings.done) return findings.problems;
  }
  return ['verify did not finish'];
}

function report(what: string, ledger: Ledger): void {
  const ratio = (100 * ledger.duplicateRatio).toFixed(3);
  console.log(
    `${what} (seed ${SEED}): ${ledger.accepted.size} jobs acknowledged, ${ledger.received.size} ` +
      `delivered, duplicate ratio ${ratio} %`,
  );
}
