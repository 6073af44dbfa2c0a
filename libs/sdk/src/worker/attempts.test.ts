import { common, dispatcher } from '@malabar/contracts';
import { FakeClock } from '@malabar/testkit';
import { beforeEach, expect, test } from 'vitest';
import type { MalabarError } from '../errors.js';
import { Attempts } from './attempts.js';
import type { JobFacts } from './job-facts.js';
import type { Held, Session } from './session.js';
import { DONE_VERDICT, retryVerdict, type Verdict } from './verdict.js';

const { DONE, RELEASE, RETRY } = common.OutcomeKind;

interface Running {
  facts: JobFacts;
  end(verdict?: Verdict): Promise<void>;
}

let clock: FakeClock;
let attempts: Attempts;
let running: Running[];
let answers: Array<{ lease: number; kind: common.OutcomeKind; errorCode: string }>;
let hung: MalabarError | undefined;
let lastLease: number;

beforeEach(() => {
  clock = new FakeClock();
  running = [];
  answers = [];
  hung = undefined;
  lastLease = 0;
  attempts = new Attempts({
    path: 'q/t',
    concurrency: 2,
    timeoutMs: 1_000,
    clock,
    run: (facts) =>
      new Promise((resolve) => {
        const end = async (verdict = DONE_VERDICT) => {
          resolve(verdict);
          await clock.advance(0);
        };
        running.push({ facts, end });
      }),
    onHung: (error) => {
      hung = error;
    },
  });
});

/** A job comes. */
function come(jobId: string, attempt = 1): Held {
  const item = dispatcher.WorkItem.fromPartial({ jobId, attempt, leaseId: ++lastLease });
  const session = {
    answer: ({ item: { leaseId: lease } }: Held, { kind, errorCode }: Verdict) =>
      answers.push({ lease, kind, errorCode }),
  } as unknown as Session;
  const held = { item, session, aliveAtMs: 0, isLost: false };
  attempts.take(held);
  return held;
}

test('no more than so many run at once; the others wait for their turn', async () => {
  for (const id of ['a', 'b', 'c', 'd']) come(id);
  expect(running.map(({ facts }) => facts.id)).toEqual(['a', 'b']);
  await running[1]?.end();
  expect(running.map(({ facts }) => facts.id)).toEqual(['a', 'b', 'c']);
  expect(answers).toEqual([{ lease: 2, kind: DONE, errorCode: '' }]);
});

test('a job that comes again while it runs is not begun beside itself, and answered with it', async () => {
  attempts.lose(come('a'));
  come('a');
  expect(running).toHaveLength(1);
  expect(running[0]?.facts.signal.reason).toMatchObject({ code: 'STALE_LEASE' });
  await running[0]?.end();
  expect(answers.map(({ lease, kind }) => [lease, kind])).toEqual([
    [1, DONE],
    [2, DONE],
  ]);
});

test('a handler that ended because its lease was lost has not failed: the job is begun anew', async () => {
  attempts.lose(come('a'));
  come('a');
  await running[0]?.end(retryVerdict('STALE_LEASE', 'aborted'));
  expect(running).toHaveLength(2);
  await running[1]?.end();
  expect(answers.at(-1)).toMatchObject({ lease: 2, kind: DONE });
});

test('an answer that was lost is given again; the next attempt is another one', async () => {
  come('a');
  await running[0]?.end(retryVerdict('E', 'no stock'));
  come('a');
  expect(running).toHaveLength(1);
  expect(answers.at(-1)).toEqual({ lease: 2, kind: RETRY, errorCode: 'E' });
  come('a', 2);
  expect(running).toHaveLength(2);
});

test('a lease that is lost before its turn frees its place at the bus', () => {
  come('a');
  come('b');
  attempts.lose(come('c'));
  expect(answers).toEqual([{ lease: 3, kind: RETRY, errorCode: 'STALE_LEASE' }]);
});

test('a handler that goes on beyond its time is given up; as many as may run are reported', async () => {
  come('a');
  come('b');
  come('c');
  await clock.advance(1_000);
  expect(running[0]?.facts.signal.reason).toMatchObject({ code: 'TIMEOUT' });
  expect(answers).toEqual([]);
  await clock.advance(5_000);
  expect(answers.map(({ lease, errorCode }) => [lease, errorCode])).toEqual([
    [1, 'TIMEOUT'],
    [2, 'TIMEOUT'],
  ]);
  expect(running[2]?.facts.id).toBe('c');
  expect(hung?.message).toBe('2 handlers of q/t do not end: this program must start anew');
  // Its end, at last, is nobody's business.
  await running[0]?.end();
  expect(answers).toHaveLength(2);
});

test('stop gives back what waits, waits for what runs, then cuts it short and gives it back', async () => {
  for (const id of ['a', 'b', 'c']) come(id);
  const stopping = attempts.stop(500);
  expect(answers).toEqual([{ lease: 3, kind: RELEASE, errorCode: '' }]);
  await running[0]?.end();
  await clock.advance(500);
  expect(running[1]?.facts.signal.reason).toMatchObject({ code: 'UNAVAILABLE' });
  await clock.advance(5_000);
  await stopping;
  expect(answers.slice(1)).toEqual([
    { lease: 1, kind: DONE, errorCode: '' },
    { lease: 2, kind: RELEASE, errorCode: '' },
  ]);
  come('d');
  expect(answers.at(-1)).toMatchObject({ lease: 4, kind: RELEASE });
});
