import type { ScheduleSpec } from '@malabar/schedule';
import { expect, test } from 'vitest';
import { Bench, MINUTE_MS, NOW, spec } from './bench.suite.js';
import type { FinalStatus, ScheduleRecord } from './record.js';
import type { Arrival } from './runs.js';

const KEY = 'one@2026-07-01T00:01:00.000Z';

/** A bench with one schedule whose fires run on every node. */
class Broadcast extends Bench {
  constructor(rest: Partial<ScheduleSpec> = {}, ...others: ScheduleSpec[]) {
    super([spec({ everywhere: true, ...rest }), ...others]);
  }

  get record(): ScheduleRecord {
    return this.planner.lives.get('one')?.record as ScheduleRecord;
  }

  /** Answers the oldest question for nodes. */
  place(...nodes: string[]): string[] {
    const [asked] = this.record.outbox.filter(({ kind }) => kind === 'place');
    return this.ask({ kind: 'placed', schedule: 'one', id: asked?.id ?? '', nodes });
  }

  arrive(...parts: Array<{ node: string } & Arrival>): string[] {
    const [fire] = this.record.outbox.filter(({ kind }) => kind === 'fire');
    return this.ask({ kind: 'done', reports: [{ schedule: 'one', id: fire?.id ?? '', parts }] });
  }

  /** A part of the oldest run ends. */
  endPart(node: string, status: FinalStatus = 'done', output = ''): string[] {
    const runId = this.record.runs[0]?.runId ?? '';
    const ended = { runId, node, status, endedAtMs: this.nowMs, output };
    return this.ask({ kind: 'runEnded', schedule: 'one', ...ended });
  }
}

const child = (on: 'success' | 'failure' | 'always'): ScheduleSpec =>
  spec({ after: { schedules: ['one'], on } }, 'child');

test('a fire asks for nodes, and runs on those that are there', () => {
  const bench = new Broadcast();
  expect(bench.tickAt(1)).toEqual(['place one 00:01']);
  expect(bench.place('a', 'b')).toEqual(['fire one 00:01 a b']);
  expect(bench.record.outbox).toMatchObject([{ id: KEY, nodes: ['a', 'b'] }]);
});

test('the next leader asks again, until there is an answer; then it keeps to that', () => {
  const bench = new Broadcast();
  bench.tickAt(1);
  expect(bench.takeOver()).toEqual(['place one 00:01']);
  bench.place('a', 'b');
  expect(bench.takeOver()).toEqual(['fire one 00:01 a b']);
  // An answer to the question of a leader before comes too late.
  expect(bench.place('c')).toEqual([]);
});

test('without a node the fire does not happen, and does not count', () => {
  const bench = new Broadcast({ times: 1 });
  bench.tickAt(1);
  expect(bench.record.fired).toBe(1);
  expect(bench.place()).toEqual(['skip 1 one 00:01-00:01 no_node']);
  expect(bench.record).toMatchObject({ fired: 0, runs: [], failures: 0 });
  expect(bench.tickAt(2)).toEqual(['place one 00:02']);
});

test.each<[FinalStatus[], 'success' | 'failure' | 'none']>([
  [['done', 'done'], 'success'],
  [['done', 'failed'], 'failure'],
  [['dead', 'done'], 'failure'],
  [['done', 'discarded'], 'failure'],
  [['discarded', 'discarded'], 'none'],
])('parts that end %o are a run, and its followers run once on %s', (statuses, ending) => {
  for (const on of ['success', 'failure', 'always'] as const) {
    const bench = new Broadcast({}, child(on));
    bench.tickAt(1);
    bench.place('a', 'b');
    expect(bench.endPart('a', statuses[0])).toEqual([]);
    expect(bench.endPart('a', statuses[0])).toEqual([]);
    const runs = on === ending || on === 'always' ? ['fire child 00:01'] : [];
    expect(bench.endPart('b', statuses[1])).toEqual(runs);
    expect(bench.record.runs).toEqual([]);
  }
});

test('followers hear what each part has printed', () => {
  const bench = new Broadcast({}, child('always'));
  bench.tickAt(1);
  bench.place('a', 'b');
  bench.endPart('a', 'done', 'x'.repeat(100_000));
  bench.endPart('b', 'failed', 'no space left');
  const [fire] = bench.planner.lives.get('child')?.record.outbox ?? [];
  const [parent] = fire?.kind === 'fire' ? (fire.parents ?? []) : [];
  expect(parent?.output.length).toBeLessThanOrEqual(4_096);
  expect(parent?.output).toMatch(/^\[a: done\] x+\n\[cut\]\nx+\n\[b: failed\] no space left\n$/);
});

test('overlap and failures look at the run, not at its parts', () => {
  const bench = new Broadcast({ pauseAfterFailures: 2 });
  bench.tickAt(1);
  bench.place('a', 'b', 'c');
  for (const node of ['a', 'b']) bench.endPart(node, 'failed');
  expect(bench.record.failures).toBe(0);
  expect(bench.tickAt(2)).toEqual(['skip 1 one 00:02-00:02 overlap']);
  bench.endPart('c', 'failed');
  expect(bench.record.failures).toBe(1);
  bench.tickAt(3);
  bench.place('a');
  expect(bench.endPart('a', 'failed')).toEqual(['one pauses: 2 runs failed, one after the other']);
});

test('a run that was replaced before it had nodes does not happen', () => {
  const bench = new Broadcast({ overlap: { kind: 'replace' } });
  bench.tickAt(1);
  expect(bench.tickAt(2)).toEqual(['replace one', 'place one 00:02']);
  expect(bench.place('a')).toEqual(['skip 1 one 00:01-00:01 overlap']);
  expect(bench.place('a')).toEqual(['fire one 00:02 a']);
});

test('a run that was replaced before its jobs were known is ended when they are', () => {
  const bench = new Broadcast({ overlap: { kind: 'replace' } });
  bench.tickAt(1);
  bench.place('a', 'b');
  bench.tickAt(2);
  expect(bench.record.outbox.at(-2)).toMatchObject({ kind: 'replace', jobs: [] });
  bench.arrive({ node: 'a', job: 'ja' }, { node: 'b', job: 'jb' });
  expect(bench.record.outbox.at(-1)).toMatchObject({ kind: 'replace', jobs: ['ja', 'jb'] });
  bench.endPart('a', 'dead');
  bench.endPart('b', 'discarded');
  expect(bench.record).toMatchObject({ failures: 0, runs: [{ nominalMs: NOW + 2 * MINUTE_MS }] });
});

test('a part that its queue refuses has failed; one of former days is none', () => {
  const bench = new Broadcast({}, child('failure'));
  bench.tickAt(1);
  bench.place('a', 'b', 'c');
  const arrived = bench.arrive(
    { node: 'a', job: 'j' },
    { node: 'b', refused: 'too large' },
    { node: 'c', stranger: true },
  );
  expect(arrived).toEqual([]);
  expect(bench.endPart('a')).toEqual(['fire child 00:01']);
});

test('triggers, backfills and parents have nodes too', () => {
  const bench = new Broadcast({ overlap: { kind: 'allow', max: 9 } });
  bench.ask({ kind: 'triggered', schedule: 'one', request: 'r' });
  expect(bench.place('a')).toEqual(['fire one 00:00 a']);
  const range = { fromMs: NOW - 2 * MINUTE_MS, toMs: NOW - MINUTE_MS, concurrency: 1 };
  const asked = bench.ask({ kind: 'backfill', schedule: 'one', id: 'b', ...range });
  expect(asked).toEqual(['place one 23:58']);
  // Without a node the backfill goes on to its next time.
  expect(bench.place()).toEqual(['skip 1 one 23:58-23:58 no_node', 'place one 23:59']);
  expect(bench.place('a', 'b')).toEqual(['fire one 23:59 a b']);
});
