import type { ScheduleSpec } from '@malabar/schedule';
import { describe, expect, test } from 'vitest';
import { Bench, clock, MINUTE_MS, NOW, spec } from './bench.suite.js';
import { foldJournal } from './journal.js';
import { Planner } from './planner.js';
import { OUTPUT_MAX } from './record.js';

describe('overlap', () => {
  const third: Array<[ScheduleSpec['overlap'], string[], string[]]> = [
    [{ kind: 'skip' }, ['skip 1 one 00:02-00:02 overlap'], []],
    [{ kind: 'queue_one' }, [], ['fire one 00:02']],
    [{ kind: 'replace' }, ['replace one', 'fire one 00:02'], []],
    [{ kind: 'allow', max: 2 }, ['fire one 00:02'], []],
  ];
  test.each(third)('%o', (overlap, second, afterEnd) => {
    const bench = new Bench([spec({ overlap })]);
    expect(bench.tickAt(1)).toEqual(['fire one 00:01']);
    expect(bench.tickAt(2)).toEqual(second);
    expect(bench.end('one')).toEqual(afterEnd);
  });

  test('one fire waits, or all of them', () => {
    const one = new Bench([spec({ overlap: { kind: 'queue_one' } })]);
    const all = new Bench([spec({ overlap: { kind: 'queue_all' } })]);
    for (const minute of [1, 2]) for (const bench of [one, all]) bench.tickAt(minute);
    expect(one.tickAt(3)).toEqual(['skip 1 one 00:03-00:03 overlap']);
    expect(all.tickAt(3)).toEqual([]);
    expect(all.end('one')).toEqual(['fire one 00:02']);
    expect(all.end('one')).toEqual(['fire one 00:03']);
  });

  test('a run of which nobody hears how it ends is over when it is in its queue', () => {
    const bench = new Bench([spec({ tracked: false })]);
    expect(bench.tickAt(1)).toEqual(['fire one 00:01']);
    const [sent] = bench.planner.lives.get('one')?.record.outbox ?? [];
    bench.ask({ kind: 'done', reports: [{ schedule: 'one', id: sent?.id ?? '', job: 'j' }] });
    expect(bench.planner.lives.get('one')?.record.runs).toEqual([]);
  });
});

describe('misfire', () => {
  const hour: Array<[ScheduleSpec['misfire'], string[]]> = [
    [{ fire: 'skip' }, ['skip 59 one 00:01-00:59 misfire']],
    [{ fire: 'once' }, ['skip 58 one 00:01-00:58 misfire', 'fire one 00:59']],
    [
      { fire: 'all', max: 2 },
      ['skip 57 one 00:01-00:57 misfire', 'fire one 00:58', 'fire one 00:59'],
    ],
    [
      { fire: 'all', withinMs: 2 * MINUTE_MS },
      ['skip 57 one 00:01-00:57 misfire', 'fire one 00:58', 'fire one 00:59'],
    ],
  ];
  test.each(hour)('after an hour without a leader: %o', (misfire, expected) => {
    const bench = new Bench([spec({ misfire, overlap: { kind: 'allow', max: 9 } })]);
    expect(bench.tickAt(60)).toEqual([...expected, 'fire one 01:00']);
  });

  test('a schedule of seconds after a year costs no more than one after a minute', () => {
    const bench = new Bench([spec({ everyMs: 1_000, misfire: { fire: 'once' } })]);
    const startedAt = performance.now();
    const [skip] = bench.tickAt(365 * 24 * 60);
    expect(skip).toBe('skip 1000 one 00:00-23:58 misfire');
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe('a configuration that changes', () => {
  test('the cursor stays while the times do; other times begin now', () => {
    const bench = new Bench([spec()]);
    bench.nowMs = NOW + MINUTE_MS + 10_000;
    expect(bench.configure(spec({ pauseAfterFailures: 3 }))).toEqual([]);
    expect(bench.ask({ kind: 'tick' })).toEqual(['fire one 00:01']);
    bench.nowMs = NOW + 3 * MINUTE_MS;
    bench.configure(spec({ everyMs: 2 * MINUTE_MS }));
    expect(bench.ask({ kind: 'tick' })).toEqual([]);
    bench.end('one');
    expect(bench.tickAt(4)).toEqual(['fire one 00:04']);
  });

  test('a schedule that is removed is gone with all that waits', () => {
    const bench = new Bench([spec({ overlap: { kind: 'queue_all' } })]);
    for (const minute of [1, 2, 3]) bench.tickAt(minute);
    bench.configure();
    expect(bench.takeOver()).toEqual([]);
    expect(foldJournal(bench.lines).records.size).toBe(0);
    expect(bench.tickAt(9)).toEqual([]);
  });

  test('a new schedule fires nothing of the past, unless its start lies there', () => {
    const start = '2026-06-30T23:58:30Z';
    const misfire = { fire: 'all' as const };
    const overlap = { kind: 'allow' as const, max: 9 };
    const bench = new Bench([spec({}, 'new'), spec({ start, misfire, overlap }, 'old')]);
    expect(bench.tickAt(0)).toEqual(['fire old 23:58', 'fire old 23:59']);
  });
});

describe('pauses', () => {
  test('what is due during a pause is skipped at its end, in one', () => {
    const bench = new Bench([spec({ paused: 'holiday' })]);
    expect(bench.tickAt(30)).toEqual([]);
    expect(bench.configure(spec())).toEqual(['skip 30 one 00:01-00:30 paused']);
    expect(bench.tickAt(31)).toEqual(['fire one 00:31']);
  });

  test('failures pause a schedule until somebody resumes it', () => {
    const bench = new Bench([spec({ pauseAfterFailures: 2 })]);
    bench.tickAt(1);
    expect(bench.end('one', 'failed')).toEqual([]);
    bench.tickAt(2);
    expect(bench.end('one', 'failed')).toEqual(['one pauses: 2 runs failed, one after the other']);
    expect(bench.takeOver()).toEqual([]);
    expect(bench.tickAt(4)).toEqual([]);
    expect(bench.ask({ kind: 'resumed', schedule: 'one' })).toEqual([
      'skip 2 one 00:03-00:04 paused',
    ]);
  });
});

describe('followers', () => {
  test('any run of a parent starts one, with its output cut', () => {
    const bench = new Bench([spec(), spec({ after: { schedules: ['one'] } }, 'child')]);
    bench.tickAt(1);
    expect(bench.end('one', 'done', 'x'.repeat(10_000))).toEqual(['fire child 00:01']);
    const [sent] = bench.planner.lives.get('child')?.record.outbox ?? [];
    const [parent] = (sent?.kind === 'fire' && sent.parents) || [];
    expect(parent).toMatchObject({ schedule: 'one', status: 'done' });
    expect(parent?.output).toContain('\n[cut]\n');
    expect(parent?.output.length).toBeLessThanOrEqual(OUTPUT_MAX);
    bench.tickAt(2);
    expect(bench.end('one', 'failed')).toEqual([]);
  });

  test('all parents are needed, each anew', () => {
    const after = { schedules: ['one', 'two'], need: 'all' as const, on: 'always' as const };
    const bench = new Bench([spec(), spec({}, 'two'), spec({ after }, 'child')]);
    bench.tickAt(1);
    expect(bench.end('one')).toEqual([]);
    expect(bench.end('two', 'failed')).toEqual(['fire child 00:01']);
    bench.tickAt(2);
    expect(bench.end('two')).toEqual([]);
  });
});

describe('by hand', () => {
  test('a trigger that is repeated starts one run, also of a paused schedule', () => {
    const bench = new Bench([spec({ paused: 'holiday' })]);
    const trigger = { kind: 'triggered', schedule: 'one', request: 'r1' } as const;
    expect(bench.ask(trigger)).toEqual(['fire one 00:00']);
    expect(bench.ask(trigger)).toEqual([]);
  });

  test('a backfill has its own limit and goes on when one of its runs has ended', () => {
    const bench = new Bench([spec({ paused: 'holiday' })]);
    const range = { fromMs: NOW - 3 * MINUTE_MS, toMs: NOW - MINUTE_MS, concurrency: 2 };
    const backfill = { kind: 'backfill', schedule: 'one', id: 'b', ...range } as const;
    expect(bench.ask(backfill)).toEqual(['fire one 23:57', 'fire one 23:58']);
    expect(bench.end('one')).toEqual(['fire one 23:59']);
    expect(bench.end('one')).toEqual([]);
    expect(bench.planner.lives.get('one')?.record.backfills).toEqual([]);
  });
});

describe('what is sent', () => {
  test('a new leader repeats it until it is reported, with the same key', () => {
    const bench = new Bench([spec()]);
    bench.tickAt(1);
    expect(bench.takeOver()).toEqual(['fire one 00:01']);
    const [sent] = bench.planner.lives.get('one')?.record.outbox ?? [];
    expect(sent?.id).toBe('one@2026-07-01T00:01:00.000Z');
    bench.ask({ kind: 'done', reports: [{ schedule: 'one', id: sent?.id ?? '', job: 'j1' }] });
    expect(bench.wakeAtMs).toBe(bench.nowMs + 10_000);
    bench.nowMs = bench.wakeAtMs;
    bench.ask({ kind: 'tick' });
    expect(bench.takeOver()).toEqual([]);
    expect(bench.planner.lives.get('one')?.record.runs).toMatchObject([{ job: 'j1' }]);
  });

  test('a fire that its queue refuses is a run that failed', () => {
    const on = 'failure' as const;
    const bench = new Bench([spec(), spec({ after: { schedules: ['one'], on } }, 'child')]);
    bench.tickAt(1);
    const id = 'one@2026-07-01T00:01:00.000Z';
    const refused = [{ schedule: 'one', id, refused: 'there is no queue x' }];
    expect(bench.ask({ kind: 'done', reports: refused })).toEqual(['fire child 00:01']);
    expect(bench.tickAt(2)).toEqual(['fire one 00:02']);
  });

  test('a key of former days holds nobody up', () => {
    const bench = new Bench([spec()]);
    bench.tickAt(1);
    const id = 'one@2026-07-01T00:01:00.000Z';
    bench.ask({ kind: 'done', reports: [{ schedule: 'one', id, stranger: true }] });
    expect(bench.tickAt(2)).toEqual(['fire one 00:02']);
  });

  test('a leader with a smaller token stops', () => {
    const bench = new Bench([spec()]);
    bench.takeOver();
    const late = new Planner({ token: 1 });
    const journal = foldJournal(bench.lines);
    expect(late.step({ kind: 'loaded', nowMs: NOW, journal })).toEqual([
      { kind: 'stop', reason: 'the journal is led by 2, this is 1' },
    ]);
  });
});

test('10,000 schedules: a tick looks at those that are due, and its entry is small', () => {
  const specs = Array.from({ length: 10_000 }, (_, i) => spec({ everyMs: 86_400_000 }, `s${i}`));
  const bench = new Bench([...specs, spec()]);
  const startedAt = performance.now();
  for (let minute = 1; minute <= 1_000; minute++) {
    expect(bench.tickAt(minute)).toEqual([`fire one ${clock(bench.nowMs)}`]);
    bench.end('one');
  }
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  const size = Math.max(...bench.lines.slice(-1_000).map(({ text }) => text.length));
  expect(size).toBeLessThan(2_500);
  const base = JSON.parse(bench.lines.at(-1)?.text ?? '').base as number;
  const kept = bench.lines.filter(({ position }) => position >= base);
  expect(kept.length).toBeLessThan(2_500);
  expect(foldJournal(kept)).toEqual({ ...foldJournal(bench.lines) });
});
