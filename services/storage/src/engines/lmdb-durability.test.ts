import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Requirement, run, seededRandom, tempDir } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { createLmdbEngine } from './lmdb.js';
import { besideTests, childEnd, startChild } from './testing/child.js';
import { faultAfter } from './testing/steps.js';

const STEPS = 150;
/** So many that whoever is to be killed has not done them before the kill arrives. */
const MANY_STEPS = 100_000;
/** Writes and syncs that a child comes to in its life, about. */
const OPERATIONS = 1100;

const disk = await shadowDisk();
if (disk.missing) console.warn(`tests skipped: ${disk.missing}`);

describe.skipIf(disk.missing)(
  'on a disk that forgets what was not synced',
  { timeout: 180_000 },
  () => {
    test('every acknowledged commit is there, at whatever write or sync the power fails', async () => {
      const seeds = Array.from({ length: 12 }, (_, seed) => seed);
      const lives = await inPairs(seeds, (seed) => life({ seed }));
      expect(lives.filter(({ fault }) => fault !== undefined)).toEqual([]);
      expect(lives.filter(({ died }) => died).length).toBeGreaterThan(6);
      expect(lives.reduce((sum, { acknowledged }) => sum + acknowledged, 0)).toBeGreaterThan(300);
    });

    test('every acknowledged commit is there after kill -9', async () => {
      const lives = await inPairs([1, 2, 3, 4], (seed) => life({ seed, killAfter: seed * 20 }));
      expect(lives.map(({ fault, died }) => ({ fault, died }))).toEqual(
        lives.map(() => ({ fault: undefined, died: true })),
      );
    });

    test.each([
      ['does not sync', { noSync: true }],
      ['does not sync its meta page', { noMetaSync: true }],
      // What lmdb's own putSync does where overlappingSync is on, its default.
      ['syncs later', { overlappingSync: true, flags: 0x10002 }],
    ])('a store that %s is found out', async (_, weakness) => {
      const faults: unknown[] = [];
      for (let seed = 0; seed < 8 && faults.length === 0; seed += 2) {
        const lives = await inPairs([seed, seed + 1], (seed) => life({ seed, weakness }));
        faults.push(...lives.map(({ fault }) => fault).filter((fault) => fault !== undefined));
      }
      expect(faults).not.toEqual([]);
    });
  },
);

interface Life {
  acknowledged: number;
  died: boolean;
  fault: string | undefined;
}

/** Commits steps until the power fails, then opens what the disk has kept. */
async function life(options: {
  seed: number;
  killAfter?: number;
  weakness?: object;
}): Promise<Life> {
  const { seed, killAfter, weakness } = options;
  const folder = tempDir('durability');
  const image = join(folder, 'image');
  mkdirSync(image);
  const store = join(folder, 'store');
  const crashAt = 1 + Math.floor(seededRandom(seed * 31 + 5)() * OPERATIONS);
  const steps = killAfter === undefined ? STEPS : MANY_STEPS;
  const child = startChild('commit-child.ts', [store, String(steps)], {
    imports: weakness ? ['weak-lmdb.mjs'] : [],
    env: {
      LD_PRELOAD: disk.library,
      SHADOW_ROOT: store,
      SHADOW_DIR: image,
      SHADOW_SEED: String(seed),
      ...(killAfter === undefined ? { SHADOW_CRASH_AT: String(crashAt) } : {}),
      ...(weakness && { WEAK_LMDB: JSON.stringify(weakness) }),
    },
  });
  const { stdout, stderr, code, signal } = await childEnd(child, (printed) => {
    if (killAfter !== undefined && acknowledgedIn(printed) >= killAfter) child.kill('SIGKILL');
  });
  if (code !== 0 && signal !== 'SIGKILL')
    throw new Error(`the child ended with ${code}: ${stderr}`);
  const acknowledged = acknowledgedIn(stdout);
  return { acknowledged, died: signal === 'SIGKILL', fault: await faultOf(image, acknowledged) };
}

function acknowledgedIn(printed: string): number {
  const lines = printed
    .slice(0, printed.lastIndexOf('\n') + 1)
    .trim()
    .split('\n');
  return lines.at(-1) === '' ? -1 : Number(lines.at(-1));
}

async function faultOf(image: string, acknowledged: number): Promise<string | undefined> {
  const path = `${image}-opened`;
  mkdirSync(path);
  const file = join(image, 'data.mdb');
  if (existsSync(file)) copyFileSync(file, join(path, 'data.mdb'));
  const engine = createLmdbEngine({ path });
  try {
    await engine.open();
    return await faultAfter(engine, acknowledged);
  } catch (error) {
    return String(error);
  } finally {
    await engine.close();
  }
}

async function shadowDisk(): Promise<Requirement & { library: string }> {
  const library = join(tempDir('shadow'), 'shadow-disk.so');
  const name = 'gcc';
  if (process.platform !== 'linux') return { name, library, missing: 'LD_PRELOAD needs Linux' };
  const args = [
    '-O1',
    '-shared',
    '-fPIC',
    '-o',
    library,
    besideTests('shadow-disk.c'),
    '-lpthread',
  ];
  const { code, stderr } = await run(name, args).catch((error) => ({
    code: 1,
    stderr: `${error}`,
  }));
  return code === 0 ? { name, library } : { name, library, missing: `no shadow disk: ${stderr}` };
}

/** Two at a time: as many as there are processors, as a rule. */
async function inPairs<T, R>(inputs: T[], work: (input: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const next = inputs.entries();
  const worker = async () => {
    for (const [i, input] of next) results[i] = await work(input);
  };
  await Promise.all([worker(), worker()]);
  return results;
}
