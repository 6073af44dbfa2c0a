import { describe, expect } from 'vitest';
import type { Engine } from '../../engine.js';
import {
  allLog,
  allState,
  batch,
  type EngineUnderTest,
  entry,
  opened,
  testWith,
} from './harness.js';

const RECORD = 'x'.repeat(100_000);
const ROOM = 3_000_000;

export function room(engine: EngineUnderTest): void {
  const test = testWith(engine, 'limitedRoom');

  /** Appends until the engine refuses; returns how many records it took. */
  async function fill(store: Engine, from = 0): Promise<number> {
    for (let seq = from; seq < from + 10_000; seq++) {
      const commit = store.commit(
        batch({ appends: [entry(1, seq, RECORD)], state: { last: String(seq) } }),
      );
      const refused = await commit.then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused === undefined) continue;
      expect(refused).toMatchObject({ code: 'DISK_FULL', retryable: true });
      return seq;
    }
    throw new Error('it never refused');
  }

  async function full(): Promise<[store: Engine, records: number]> {
    const place = await engine.place();
    const store = await opened((place.limited as (bytes: number) => Engine)(ROOM));
    return [store, await fill(store)];
  }

  describe('without room', () => {
    test('a commit is refused with DISK_FULL, and nothing of it is applied', async () => {
      const [store, records] = await full();
      expect(records).toBeGreaterThan(10);
      expect(await allState(store)).toEqual([`last=${records - 1}`]);
      expect(await allLog(store, 1)).toHaveLength(records);
      expect(await store.readLog(1, records)).toMatchObject({ firstSeq: records - 1 });
    });

    test('what was committed before can be read', async () => {
      const [store, records] = await full();
      for (let seq = 0; seq < records; seq++)
        expect((await store.readLog(1, seq))?.bytes.length).toBe(RECORD.length);
    });

    test('records can still be deleted and dropped, and that makes room again', async () => {
      const [store, records] = await full();
      for (let seq = 0; seq < records; seq++)
        await store.commit(
          batch({ state: { last: 'drop' }, drops: [{ shard: 1, firstSeq: seq }] }),
        );
      expect(await allLog(store, 1)).toEqual([]);
      expect((await fill(store, records)) - records).toBeGreaterThan(records / 2);
    });
  });
}
