import { JOURNAL_QUEUE } from '@malabar/config';
import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { expect, test } from 'vitest';
import { claimText } from './core/journal.js';
import { newRecord, packRecord } from './core/record.js';
import { Desk, newTown, type Town } from './office.suite.js';

const { DONE, LEASED, READY } = common.DeliveryState;

interface Line {
  token: number;
  sequence?: number;
  base?: number;
  names?: string[];
}

/** A line as a leader writes it: these schedules have a record that says its position. */
const line = ({ token, sequence = 0, base = 0, names = [] }: Line): string => {
  const records = names.map((name) => [name, packRecord(newRecord(name, sequence))]);
  return JSON.stringify({ token, sequence, base, records: Object.fromEntries(records) });
};

function write(town: Town, ...lines: string[]): void {
  for (const text of lines) town.bus.put(JOURNAL_QUEUE, text);
}

/** What a new leader reads. */
async function read(town: Town, token = 9) {
  const desk = new Desk(town);
  const claimed = desk.journal.claim(token).catch((error: BusError) => error);
  await town.clock.advance(30_000);
  const journal = await claimed;
  desk.clear();
  if (journal instanceof BusError) throw journal;
  const cursors = [...journal.records].map(([name, { cursorMs }]) => [name, cursorMs]);
  return { journal, cursors: Object.fromEntries(cursors), log: desk.log };
}

const errors = (log: Desk['log']): string[] =>
  log.filter(({ level }) => level === 'error').map(({ message }) => message);

test('the journal is what its lines say together, the newest word of each schedule', async () => {
  const town = newTown();
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['a', 'b'] }));
  write(town, line({ token: 1, sequence: 2, names: ['b'] }));
  const { journal, cursors, log } = await read(town);
  expect(cursors).toEqual({ a: 1, b: 2 });
  expect(journal.token).toBe(9);
  expect(errors(log)).toEqual([]);
});

test('lines of an old token, or at another place than their writer thought, say nothing', async () => {
  const town = newTown();
  write(town, claimText(3), line({ token: 3, sequence: 1, names: ['a'] }));
  write(town, claimText(4), line({ token: 3, sequence: 3, names: ['a', 'old token'] }));
  write(town, line({ token: 4, sequence: 3, names: ['a', 'elsewhere'] }));
  write(town, line({ token: 4, sequence: 5, names: ['b'] }));
  expect((await read(town)).cursors).toEqual({ a: 1, b: 5 });
});

test('lines that cannot be read say nothing, are told of, and stop nobody', async () => {
  const town = newTown();
  const strange = ['', 'no JSON', '5', 'null', '[]', '{}', '{"token":"x"}', '{"token":1', '\u0000'];
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['a'] }), ...strange);
  write(town, line({ token: 1, sequence: 2 + strange.length, names: ['b'] }));
  const { cursors, log } = await read(town);
  expect(cursors).toEqual({ a: 1, b: 2 + strange.length });
  expect(errors(log)).toHaveLength(strange.length);
  expect(log.find(({ level }) => level === 'error')?.fields).toMatchObject({ line: 2 });
});

test('a line that changes its state while the journal is read is read all the same', async () => {
  const town = newTown();
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['a'] }));
  write(town, line({ token: 1, sequence: 2, names: ['b'] }));
  const moving = town.bus.jobs(JOURNAL_QUEUE)[1];
  // An older leader that trims has it while the others are read, and gives it back right then.
  if (moving) moving.state = LEASED;
  town.bus.onList = (state) => {
    if (moving && state === LEASED) moving.state = READY;
  };
  const { cursors, log } = await read(town);
  expect(cursors).toEqual({ a: 1, b: 2 });
  expect(errors(log)).toEqual([]);
});

test('a line that is not there at all is missed aloud, and the others count', async () => {
  const town = newTown();
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['a'] }));
  write(town, line({ token: 1, sequence: 2, names: ['b'] }));
  const gone = town.bus.jobs(JOURNAL_QUEUE)[1];
  if (gone) gone.state = DONE;
  const { cursors, log } = await read(town);
  expect(cursors).toEqual({ b: 2 });
  expect(errors(log)).toEqual(['line 1 of the journal is not there; what it said is lost']);
});

test('what lies before the base says nothing any more, however much of it is left', async () => {
  const town = newTown();
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['gone', 'a'] }));
  write(town, line({ token: 1, sequence: 2, names: ['a'] }));
  write(town, line({ token: 1, sequence: 3, base: 2, names: ['b'] }));
  // Trimming has taken the first line and left the second.
  const trimmed = town.bus.jobs(JOURNAL_QUEUE)[0];
  if (trimmed) trimmed.state = DONE;
  const { cursors, log } = await read(town);
  expect(cursors).toEqual({ a: 2, b: 3 });
  expect(errors(log)).toEqual([]);
});

test('a journal that cannot be read now is read when storage is back', async () => {
  const town = newTown();
  write(town, claimText(1), line({ token: 1, sequence: 1, names: ['a'] }));
  const desk = new Desk(town);
  let times = 0;
  town.bus.onList = () => {
    if (times++ < 5) throw new BusError('UNAVAILABLE', 'storage is away');
  };
  const claimed = desk.journal.claim(2);
  await town.clock.advance(10_000);
  expect([...(await claimed).records.keys()]).toEqual(['a']);
  expect(times).toBeGreaterThan(5);
  desk.clear();
});

test('a journal that is damaged on the disk ends the office and says so', async () => {
  const town = newTown();
  write(town, claimText(1));
  town.bus.onList = () => {
    throw new BusError('CORRUPT', 'log record 0 of shard 3 is damaged');
  };
  await expect(read(town)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a line is written once, however often it has to be said', async () => {
  const town = newTown();
  const desk = new Desk(town);
  await desk.journal.claim(1);
  const before = town.bus.jobs(JOURNAL_QUEUE).length;
  town.bus.mute = true;
  const written = desk.journal.append(1, before, line({ token: 1, sequence: before }));
  await town.clock.advance(3_000);
  town.bus.mute = false;
  await town.clock.advance(3_000);
  await written;
  expect(town.bus.jobs(JOURNAL_QUEUE)).toHaveLength(before + 1);
  expect(town.bus.pushes.length).toBeGreaterThan(before + 2);
  await expect(desk.journal.append(1, before + 3, 'x')).rejects.toMatchObject({
    code: 'STALE_LEASE',
  });
  desk.clear();
});

test('lines that nobody needs are settled, also when somebody else has some of them', async () => {
  const town = newTown();
  const desk = new Desk(town);
  await desk.journal.claim(1);
  const first = town.bus.jobs(JOURNAL_QUEUE).length;
  for (let at = first; at < 200; at++)
    await desk.journal.append(1, at, line({ token: 1, sequence: at }));
  for (const kept of town.bus.jobs(JOURNAL_QUEUE).slice(10, 20)) kept.state = LEASED;
  await desk.journal.append(1, 200, line({ token: 1, sequence: 200, base: 150 }));
  const states = town.bus.jobs(JOURNAL_QUEUE).map(({ state }) => state);
  expect(states.slice(20, 150).every((state) => state === DONE)).toBe(true);
  // What was fetched too much is there for whoever reads next.
  expect(states.slice(150).every((state) => state === READY)).toBe(true);
  desk.clear();
});
