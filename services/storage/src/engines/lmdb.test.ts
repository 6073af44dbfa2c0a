import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import type { WriteBatch } from '../engine.js';
import { engineSuite } from '../engine.suite.js';
import { createLmdbEngine } from './lmdb.js';

const MB = 1_000_000;

engineSuite({
  name: 'lmdb',
  async place() {
    const path = join(tempDir('lmdb'), 'store');
    return {
      engine: () => createLmdbEngine({ path }),
      limited: (bytesMax) => createLmdbEngine({ path, bytesMax }),
      unlock: () => rmSync(join(path, 'owner')),
    };
  },
});

const slow = { timeout: 120_000 };

test('a queue that stands still at 20 MB does not make its file grow for ever', slow, async () => {
  const path = join(tempDir('lmdb'), 'store');
  const engine = createLmdbEngine({ path });
  await engine.open();
  const random = seededRandom(1);
  const live: Array<{ seq: number; size: number }> = [];
  let liveBytes = 0;
  let written = 0;
  for (let seq = 0; written < 200 * MB; seq++) {
    const size = Math.floor(random() ** 3 * 600_000) + 50;
    const drops: WriteBatch['drops'][number][] = [];
    while (liveBytes + size > 20 * MB) {
      const oldest = live.shift() as { seq: number; size: number };
      liveBytes -= oldest.size;
      drops.push({ shard: 1, firstSeq: oldest.seq });
    }
    await engine.commit({
      appends: [{ shard: 1, firstSeq: seq, bytes: Buffer.alloc(size, seq) }],
      state: new Map([[`S${seq % 300}`, Buffer.alloc(size % 3000)]]),
      drops,
    });
    live.push({ seq, size });
    liveBytes += size;
    written += size;
    // Reads leave snapshots behind, which keep pages from being used again.
    await engine.readLog(1, Math.max(0, seq - 3));
    await engine.scan({ start: 'S', end: 'T', limit: 3 });
  }
  await engine.close();
  expect(statSync(join(path, 'data.mdb')).size).toBeLessThan(50 * MB);
});

test('a store at its limit refuses new jobs and takes what makes room', async () => {
  const engine = createLmdbEngine({ path: join(tempDir('lmdb'), 'store'), bytesMax: 1 });
  await engine.open();
  const batch: WriteBatch = {
    appends: [{ shard: 1, firstSeq: 0, bytes: Buffer.alloc(100) }],
    state: new Map(),
    drops: [],
  };
  await expect(engine.commit(batch)).rejects.toMatchObject({ code: 'DISK_FULL' });
  await engine.commit({ ...batch, urgent: true });
  expect((await engine.readLog(1, 0))?.bytes).toHaveLength(100);
  await engine.close();
});
