import { describe, expect } from 'vitest';
import type { Engine } from '../../engine.js';
import {
  allLog,
  allState,
  batch,
  type EnginePlace,
  type EngineUnderTest,
  entry,
  opened,
  testWith,
} from './harness.js';

export function fencing(engine: EngineUnderTest): void {
  const test = testWith(engine);

  describe('an owner', () => {
    test('gets a higher epoch than every owner before', async () => {
      const place = await engine.place();
      let last = 0;
      for (let i = 0; i < 5; i++) {
        const owner = place.engine();
        const epoch = await owner.open();
        await owner.close();
        expect(epoch).toBeGreaterThan(last);
        last = epoch;
      }
    });
  });

  const takeOver = testWith(engine, 'takeOver');

  describe('an owner after whom another one has opened the engine', () => {
    async function twoOwners(): Promise<[earlier: Engine, later: Engine, place: EnginePlace]> {
      const place = await engine.place();
      const earlier = await opened(place.engine());
      await earlier.commit(batch({ appends: [entry(1, 0, 'first')], state: { A: '1', B: '2' } }));
      place.unlock?.();
      return [earlier, await opened(place.engine()), place];
    }

    takeOver('cannot commit, and nothing of what it tried is applied', async () => {
      const [earlier, later] = await twoOwners();
      const attempt = earlier.commit(
        batch({
          appends: [entry(1, 5, 'late')],
          state: { A: 'late', B: undefined, C: 'late' },
          drops: [{ shard: 1, firstSeq: 0 }],
        }),
      );
      await expect(attempt).rejects.toMatchObject({ code: 'STALE_LEASE' });
      expect(await allLog(later, 1)).toEqual(['1:0=first']);
      expect(await allState(later)).toEqual(['A=1', 'B=2']);
    });

    takeOver('stays out for ever, and does not disturb the later one by closing', async () => {
      const [earlier, later, place] = await twoOwners();
      for (let i = 1; i < 4; i++) {
        await later.commit(batch({ appends: [entry(1, i, 'x')] }));
        await expect(earlier.commit(batch({ state: { A: 'late' } }))).rejects.toMatchObject({
          code: 'STALE_LEASE',
        });
      }
      await earlier.close();
      await later.commit(batch({ state: { A: 'later' } }));
      await later.close();
      const next = await opened(place.engine());
      expect(await allState(next)).toEqual(['A=later', 'B=2']);
      expect(await allLog(next, 1)).toHaveLength(4);
    });
  });
}
