import { expect, test } from 'vitest';
import { explain, runHistory } from './history.suite.js';

// SIM_SEED=7 runs one history again, SIM_HISTORIES=100000 runs more of them.
const HISTORIES = Number(process.env.SIM_HISTORIES ?? 10_000);
const SEED = process.env.SIM_SEED;

const MUST_HAPPEN = [
  'appends refused',
  'batches ABANDONED',
  'batches ENDED',
  'batches EXPIRED',
  'batches followed',
  'changes lost in a crash',
  'commits refused',
  'crashes',
  'deliveries dead',
  'deliveries discarded: DISCARDED',
  'deliveries discarded: EXPIRED',
  'deliveries discarded: NODE_AWAY',
  'deliveries replayed',
  'duplicates',
  'entries leased',
  'fetched leases ended by the store',
  'fresh jobs leased',
  'jobs for a topic that came later',
  'jobs leased at a rate',
  'jobs in batches',
  'jobs of a key that somebody has begun',
  'jobs of one node leased',
  'jobs of one key leased beside each other',
  'jobs refused by a limit',
  'jobs with a key leased',
  'keys waited for the turns of others',
  'jobs replaced',
  'jobs replaced at once',
  'jobs that leave the order of the log to make room',
  'jobs refused by an ended batch',
  'leases expired',
  'leases fetched',
  'leases lost in a crash',
  'leases released with their stream',
  'log records dropped',
  'outcomes CRASH',
  'outcomes DEAD',
  'outcomes EXTEND',
  'outcomes RELEASE',
  'outcomes RETRY',
  'owners fenced',
  'plain jobs accepted',
  'plain jobs that leave the log',
  'results for a queue that is gone',
  'results told',
  'special jobs accepted',
  'stale outcomes',
  'survivors',
];

test('no history of appends, leases, outcomes, faults and crashes breaks a promise', async () => {
  const first = Number(SEED ?? 1);
  const count = SEED === undefined ? HISTORIES : 1;
  const tally = new Map<string, number>();
  const startedAt = performance.now();
  for (let seed = first; seed < first + count; seed++) {
    try {
      for (const [what, times] of await runHistory(seed))
        tally.set(what, (tally.get(what) ?? 0) + times);
    } catch (error) {
      expect.fail(`${(error as Error).message}\n${await explain(seed)}`);
    }
  }
  const rate = count / ((performance.now() - startedAt) / 1000);
  console.log(`${count} histories, ${Math.round(rate)} a second; none broke a promise`);
  // A simulation in which nothing happens any more would find nothing either.
  if (count >= 1000)
    for (const what of MUST_HAPPEN) expect(tally.get(what), what).toBeGreaterThan(10);
}, 600_000);
