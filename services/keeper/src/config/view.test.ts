import { keeperRecords } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory } from '@malabar/testkit';
import { expect, test } from 'vitest';
import type { Backend, Entry, Watcher } from '../backend.js';
import { DomainView } from './view.js';

function entry(
  name: string,
  revision: number,
  record: Partial<keeperRecords.DomainRecord> = {},
): Entry {
  const value = keeperRecords.DomainRecord.encode(
    keeperRecords.DomainRecord.fromPartial(record as keeperRecords.DomainRecord),
  ).finish();
  return { key: `domain/${name}`, value: Buffer.from(value), revision };
}

/** A view whose watch the test tells what there is. */
function watched() {
  const clock = new FakeClock();
  let watcher: Watcher | undefined;
  const watch = (_: string, one: Watcher) => {
    watcher = one;
    return { stop() {} };
  };
  const { log, entries } = logToMemory<Logger>();
  const view = new DomainView({ backend: { watch } as unknown as Backend, clock, log });
  const heard: string[] = [];
  view.onChange((domain) => heard.push(domain));
  const started = view.start();
  return { view, clock, heard, started, entries, watcher: watcher as unknown as Watcher };
}

test('after a broken watch only what has changed is told, and what is gone is gone', async () => {
  const { view, heard, started, watcher } = watched();
  watcher.reset({ entries: [entry('a', 1), entry('b', 2), entry('c', 3)], revision: 3 });
  await started;
  heard.length = 0;
  watcher.lost(new Error('cut'));
  watcher.reset({ entries: [entry('a', 1), entry('b', 5, { release: 1 })], revision: 6 });
  expect(heard).toEqual(['b', 'c']);
  expect([...view.domains.keys()]).toEqual(['a', 'b']);
});

test('an outage is said, with its beginning, until the backend answers again', async () => {
  const { view, clock, watcher, entries } = watched();
  watcher.reset({ entries: [], revision: 0 });
  const since = clock.now();
  watcher.lost(new Error('cut'));
  clock.advanceSync(1_000);
  expect(view.lostAtMs).toBe(since);
  watcher.reset({ entries: [], revision: 0 });
  expect(view.lostAtMs).toBeUndefined();
  expect(entries.map(({ level }) => level)).toEqual(['error', 'info']);
});

test('a backend that fails before everything is known fails the start', async () => {
  const { started, watcher } = watched();
  watcher.lost(new Error('damaged'));
  await expect(started).rejects.toThrow('damaged');
});

test('who waits for a revision waits no longer than two seconds', async () => {
  const { view, clock, watcher } = watched();
  watcher.reset({ entries: [], revision: 4 });
  await view.reached(4);
  const [seen, never] = [view.reached(5), view.reached(9)];
  watcher.changed([{ key: 'domain/a', entry: entry('a', 5) }], 5);
  await seen;
  await clock.advance(2_000);
  await never;
  expect(clock.pending).toBe(0);
});

test('a record that cannot be read is said and leaves the others alone', async () => {
  const { view, watcher, entries } = watched();
  const broken = { ...entry('b', 2), value: Buffer.from([0xff, 0xff, 0xff]) };
  watcher.reset({ entries: [entry('a', 1), broken, entry('c', 3)], revision: 3 });
  expect([...view.domains.keys()]).toEqual(['a', 'c']);
  expect(entries).toMatchObject([{ level: 'error', fields: { domain: 'b' } }]);
});
