import { copyFileSync, mkdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BusError } from '@malabar/core';
import { checkFile } from '@malabar/lmdb';
import { seededRandom } from '@malabar/testkit';
import { encodeRecord } from '../../core/log-record.js';
import type { Engine } from '../../engine.js';
import { createLmdbEngine } from '../lmdb.js';
import { damage } from './damage.js';
import { compare, fillStore } from './filled-store.js';

/*
 * Damages copies of a filled store, one for each seed, opens them and prints a line for each:
 * `<seed> <what was done>: refused | intact | unreadable ... | wrong ...`. That this process does not
 * crash is what the test that runs it wants to see.
 *
 *   damage-child.ts <folder> <first seed> <count>
 */
const [folder = '', from = '0', count = '1'] = process.argv.slice(2);
const original = join(folder, 'original');
const content = await fillStore(original);

for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const path = join(folder, `copy-${seed}`);
  mkdirSync(path);
  copyFileSync(join(original, 'data.mdb'), join(path, 'data.mdb'));
  // Written at once: what stands here when the process dies tells which damage it died of.
  writeSync(1, `${seed} ${damage(join(path, 'data.mdb'), seededRandom(seed))}: `);
  writeSync(1, `${await outcome(path)}\n`);
  rmSync(path, { recursive: true });
}

async function outcome(path: string): Promise<string> {
  const engine = createLmdbEngine({ path });
  try {
    await engine.open();
  } catch (error) {
    const clear = error instanceof BusError && error.code === 'CORRUPT';
    return clear ? `refused ${error.message}` : `wrong: ${error}`;
  }
  const result = await compare(engine, content);
  if (result === 'intact') await writeMore(engine);
  await engine.close();
  return result === 'intact' ? afterwards(path) : result;
}

/** Uses free pages: a list of them that is wrong would spoil what is there. */
async function writeMore(engine: Engine): Promise<void> {
  for (let i = 0; i < 20; i++) {
    const { entry } = encodeRecord(2, i, 0, [{ bytes: Buffer.alloc(i * 700, i), count: 1 }]);
    const state = new Map([[`Z${i % 5}`, Buffer.alloc(i * 90)]]);
    await engine.commit({
      appends: [entry],
      state,
      drops: [{ shard: 2, firstSeq: Math.max(0, i - 3) }],
    });
  }
}

async function afterwards(path: string): Promise<string> {
  try {
    for (const _ of checkFile(join(path, 'data.mdb')));
  } catch (error) {
    return `wrong: after more commits ${error}`;
  }
  const engine = createLmdbEngine({ path });
  await engine.open();
  const result = await compare(engine, content);
  await engine.close();
  return result;
}
