import { setTimeout as pause } from 'node:timers/promises';
import { common, scheduler, storage } from '@malabar/contracts';
import { type Client, connect } from '@malabar/rpc';
import { eventually, needs, packages, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { startKeepers } from '../harness/keepers.js';
import { type BusProcess, busProcess } from '../harness/process.js';
import { publishDocuments } from '../harness/publish.js';

/** How long leaders are killed; the acceptance of the project asks for three minutes. */
const SECONDS = Number(process.env.SCHEDULER_CHAOS_SECONDS ?? 60);
const KILL_EVERY_MS = 10_000;
const SCHEDULES = 50;

const DOCUMENTS = `
queues: { ticks: { topics: { inbox: { target: pull } } } }
schedules:
${names()
  .map((name) => `  ${name}: { every: 1s, misfire: { fire: all }, push: { queue: ticks } }`)
  .join('\n')}
`;

needs(test, await packages.etcd())(
  'two schedulers on etcd lose no fire and double none, whichever leads is killed again and again',
  { timeout: (SECONDS + 240) * 1000 },
  async () => {
    const dir = tempDir('scheduler');
    const keepers = await startKeepers({ count: 2 });
    const { addresses } = keepers;
    const settings = ['ingest.redis.listen=127.0.0.1:0', 'ingest.pepperbus.listen=127.0.0.1:0'];
    const store = await busProcess({
      services: ['storage', 'ingest'],
      node: 'store',
      dir,
      keepers: addresses,
      settings: [...settings, 'ingest.http.listen=127.0.0.1:0'],
    });
    const schedulers = await Promise.all(
      ['one', 'two'].map((node) =>
        busProcess({ services: ['scheduler'], node, dir, keepers: addresses }),
      ),
    );
    const jobs = connect(storage.StorageServiceDefinition, { address: store.address });
    try {
      await publishDocuments(addresses, DOCUMENTS);
      await store.start();
      await Promise.all(schedulers.map((one) => one.start()));
      await eventually(
        async () => expect((await firesOf(jobs)).length).toBeGreaterThan(SCHEDULES),
        {
          timeoutMs: 30_000,
        },
      );
      const kills = await killLeaders(schedulers);
      const endMs = Date.now();
      await eventually(async () => expect(newest(await firesOf(jobs))).toBeGreaterThan(endMs), {
        timeoutMs: 30_000,
      });
      const fires = await firesOf(jobs);
      report(fires, kills);
      expect(faultsOf(fires, endMs)).toEqual([]);
      expect(kills).toBeGreaterThanOrEqual(Math.floor((SECONDS * 1000) / KILL_EVERY_MS) - 1);
    } finally {
      jobs.close();
      for (const process of [...schedulers, store]) await process.stop();
      await keepers.stop();
    }
  },
);

function names(): string[] {
  return Array.from({ length: SCHEDULES }, (_, at) => `tick-${at}`);
}

/** kill -9 of whoever leads, and its next life; how often. */
async function killLeaders(schedulers: readonly BusProcess[]): Promise<number> {
  const endMs = Date.now() + SECONDS * 1000;
  let kills = 0;
  while (Date.now() + KILL_EVERY_MS <= endMs) {
    const nextMs = Date.now() + KILL_EVERY_MS;
    const leader = await leaderOf(schedulers);
    await leader.kill();
    kills++;
    await leader.start();
    await pause(Math.max(0, nextMs - Date.now()));
  }
  return kills;
}

/** Whom the schedulers say leads, once it is one of them and answers itself. */
async function leaderOf(schedulers: readonly BusProcess[]): Promise<BusProcess> {
  return eventually(
    async () => {
      for (const one of schedulers) {
        const leader = await askLeader(one.address);
        const found = schedulers.find(({ node }) => node === leader);
        if (found !== undefined) return found;
      }
      throw new Error('nobody leads');
    },
    { timeoutMs: 30_000 },
  );
}

async function askLeader(address: string): Promise<string> {
  const client = connect(scheduler.SchedulerServiceDefinition, { address });
  try {
    return (await client.listSchedules({ schedule: '' }, { timeoutMs: 2_000 })).leader;
  } catch {
    return '';
  } finally {
    client.close();
  }
}

interface Fire {
  schedule: string;
  nominalMs: number;
  lateMs: number;
}

/** Everything that lies in the queue. */
async function firesOf(client: Client<typeof storage.StorageServiceDefinition>): Promise<Fire[]> {
  const fires: Fire[] = [];
  const { READY } = common.DeliveryState;
  let cursor = '';
  do {
    const place = { queue: 'ticks', topic: 'inbox', state: READY, limit: 1_000, cursor };
    const page = await client.listJobs({ ...place, withBody: true });
    for (const { job, acceptedAtMs } of page.deliveries) {
      const nominalMs = Number(job?.headers['malabar-nominal']);
      const schedule = job?.headers['malabar-schedule'] ?? '';
      fires.push({ schedule, nominalMs, lateMs: acceptedAtMs - nominalMs });
    }
    cursor = page.nextCursor;
  } while (cursor !== '');
  return fires;
}

/** Up to when every schedule has fired. */
function newest(fires: readonly Fire[]): number {
  const last = names().map((name) =>
    Math.max(0, ...fires.filter(({ schedule }) => schedule === name).map((one) => one.nominalMs)),
  );
  return Math.min(...last);
}

/** Seconds without a fire, or with several. */
function faultsOf(fires: readonly Fire[], endMs: number): string[] {
  return names().flatMap((name) => {
    const counts = new Map<number, number>();
    for (const { schedule, nominalMs } of fires)
      if (schedule === name) counts.set(nominalMs, (counts.get(nominalMs) ?? 0) + 1);
    const faults: string[] = [];
    for (let at = Math.min(...counts.keys()); at <= endMs; at += 1_000) {
      const count = counts.get(at) ?? 0;
      if (count !== 1) faults.push(`${name} at ${new Date(at).toISOString()}: ${count} fires`);
    }
    return faults;
  });
}

function report(fires: readonly Fire[], kills: number): void {
  const late = fires.map(({ lateMs }) => lateMs).sort((a, b) => a - b);
  const part = (of: number): number => late[Math.floor((late.length - 1) * of)] ?? 0;
  console.log(
    `${SCHEDULES} schedules a second for ${SECONDS} s, ${kills} leaders killed: ${fires.length} fires; ` +
      `lateness p50 ${part(0.5)} ms, p90 ${part(0.9)} ms, p99 ${part(0.99)} ms, most ${late.at(-1)} ms`,
  );
}
