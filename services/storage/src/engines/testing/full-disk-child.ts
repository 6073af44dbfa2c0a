import { rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { checkFile } from '@malabar/lmdb';
import type { Engine, WriteBatch } from '../../engine.js';
import { createLmdbEngine } from '../lmdb.js';

/*
 * Lives through a full disk and prints what it met, one JSON line for each stage.
 *
 *   full-disk-child.ts <folder> [a file whose removal makes room]
 *
 * Without that file it prints a stage `waiting` and goes on when it reads a line.
 */
const [folder = '', filler] = process.argv.slice(2);
const path = join(folder, 'store');
const RECORD_BYTES = 60_000;

const kept = new Set<number>();
let next = 0;
let engine = await open();
say('filled', await appendUntilRefused());
say('afterFilling', { unreadable: await unreadable() });
say('dropped', await dropHalf());
await engine.close();
engine = await open();
say('reopened', { unreadable: await unreadable() });
say('refilled', await appendUntilRefused());
await makeRoom();
say('withRoom', await appendUntilRefused(next + 100));
await engine.close();
for (const _ of checkFile(join(path, 'data.mdb')));
engine = await open();
say('end', { unreadable: await unreadable() });
await engine.close();

function say(stage: string, seen: object): void {
  writeSync(1, `${JSON.stringify({ stage, ...seen })}\n`);
}

async function open(): Promise<Engine> {
  const opened = createLmdbEngine({ path });
  await opened.open();
  return opened;
}

function append(seq: number): WriteBatch {
  const bytes = Buffer.alloc(RECORD_BYTES, seq);
  return { appends: [{ shard: 1, firstSeq: seq, bytes }], state: settled(seq), drops: [] };
}

function settled(seq: number): Map<string, Buffer> {
  return new Map([[`S${seq % 500}`, Buffer.alloc(400, seq)]]);
}

/** Tries on after a refusal: a store must not be worn out by being asked. */
async function appendUntilRefused(end = 10_000): Promise<{ accepted: number; codes: string[] }> {
  let accepted = 0;
  const codes = new Set<string>();
  for (let refusals = 0; refusals < 20 && next < end; next++) {
    try {
      await engine.commit(append(next));
      kept.add(next);
      accepted++;
    } catch (error) {
      refusals++;
      codes.add((error as { code?: string }).code ?? String(error));
    }
  }
  return { accepted, codes: [...codes] };
}

async function dropHalf(): Promise<{ dropped: number; codes: string[] }> {
  let dropped = 0;
  const codes = new Set<string>();
  for (const seq of [...kept].slice(0, kept.size / 2)) {
    try {
      const drops = [{ shard: 1, firstSeq: seq }];
      await engine.commit({ appends: [], state: settled(seq), drops });
      kept.delete(seq);
      dropped++;
    } catch (error) {
      codes.add((error as { code?: string }).code ?? String(error));
    }
  }
  return { dropped, codes: [...codes] };
}

async function unreadable(): Promise<number[]> {
  const bad: number[] = [];
  for (const seq of kept) {
    const bytes = (await engine.readLog(1, seq))?.bytes;
    if (Buffer.compare(bytes ?? Buffer.of(), Buffer.alloc(RECORD_BYTES, seq)) !== 0) bad.push(seq);
  }
  return bad;
}

async function makeRoom(): Promise<void> {
  if (filler !== undefined) return rmSync(filler);
  say('waiting', {});
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
}
