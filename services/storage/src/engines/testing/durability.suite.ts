import { describe, expect } from 'vitest';
import {
  allLog,
  allState,
  batch,
  type EngineUnderTest,
  entry,
  opened,
  testWith,
} from './harness.js';

export function durability(engine: EngineUnderTest): void {
  const test = testWith(engine);

  describe('an engine that is opened again', () => {
    test('shows exactly what was committed', async () => {
      const place = await engine.place();
      const expected = { state: [] as string[], log: [] as string[] };
      for (let round = 0; round < 4; round++) {
        const store = await opened(place.engine());
        expect(await allState(store)).toEqual(expected.state);
        expect(await allLog(store, 1)).toEqual(expected.log);
        await store.commit(
          batch({
            appends: [entry(1, round, `r${round}`)],
            state: { [`K${round}`]: `v${round}`, K0: round === 2 ? undefined : `v${round}` },
            drops: round === 3 ? [{ shard: 1, firstSeq: 1 }] : [],
          }),
        );
        expected.state = await allState(store);
        expected.log = await allLog(store, 1);
        await store.close();
      }
      const store = await opened(place.engine());
      expect(await allState(store)).toEqual(['K0=v3', 'K1=v1', 'K2=v2', 'K3=v3'].filter(Boolean));
      expect(await allLog(store, 1)).toEqual(['1:0=r0', '1:2=r2', '1:3=r3']);
    });

    test('begins empty in a new place', async () => {
      const store = await opened((await engine.place()).engine());
      expect(await allState(store)).toEqual([]);
      expect(await store.nextLog(0, 0)).toBeUndefined();
    });

    test('may be closed twice, and without having been opened', async () => {
      const place = await engine.place();
      await place.engine().close();
      const store = place.engine();
      await store.open();
      await store.close();
      await store.close();
    });
  });
}
