import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '@malabar/testkit';
import { encodeRecord } from '../../core/log-record.js';
import type { Engine, Key } from '../../engine.js';
import { createLmdbEngine } from '../lmdb.js';

const PAGE = 4096;
const COMMITS = 400;
const RECORDS_KEPT = 60;

/** What a store must hold. */
export interface Content {
  state: Map<Key, Buffer>;
  /** Of shard 1, by first sequence number. */
  log: Map<number, Buffer>;
}

/** Fills a new store with records of all sizes, leaving pages free, and returns what is in it. */
export async function fillStore(path: string): Promise<Content> {
  const random = seededRandom(7);
  const content: Content = { state: new Map(), log: new Map() };
  const engine = createLmdbEngine({ path });
  await engine.open();
  let seq = 0;
  for (let i = 0; i < COMMITS; i++) {
    const count = 1 + Math.floor(random() ** 4 * 300);
    const jobs = { bytes: Buffer.alloc(count * 100, `job ${i} `), count };
    const { entry } = encodeRecord(1, seq, 1_700_000_000_000 + i, [jobs]);
    content.log.set(seq, Buffer.from(entry.bytes));
    const drops = [...content.log.keys()]
      .slice(0, -RECORDS_KEPT)
      .map((firstSeq) => ({ shard: 1, firstSeq }));
    for (const { firstSeq } of drops) content.log.delete(firstSeq);
    await engine.commit({ appends: [entry], state: changes(content, random, i), drops });
    seq += count;
  }
  await engine.close();
  cutZeros(join(path, 'data.mdb'));
  return content;
}

/** Behind the last page there is only room, which would take most of the damage. */
function cutZeros(file: string): void {
  const bytes = readFileSync(file);
  let size = bytes.length;
  while (bytes.subarray(size - PAGE, size).every((byte) => byte === 0)) size -= PAGE;
  truncateSync(file, size);
}

function changes(content: Content, random: () => number, i: number): Map<Key, Buffer | undefined> {
  const changed = new Map<Key, Buffer | undefined>();
  for (let j = 0; j < 12; j++) {
    const key = `S${String(Math.floor(random() * 3000)).padStart(5, '0')}`;
    changed.set(key, random() < 0.3 ? undefined : Buffer.alloc(random() ** 6 * 9000, i));
  }
  for (const [key, value] of changed) {
    if (value === undefined) content.state.delete(key);
    else content.state.set(key, value);
  }
  return changed;
}

/**
 * Compares an engine with what it must hold: `intact`, `unreadable: <the messages of CORRUPT>`, or
 * `wrong: <what>` if it gives anything else than what was written.
 */
export async function compare(engine: Engine, { state, log }: Content): Promise<string> {
  const unreadable = new Set<string>();
  const wrong: string[] = [];
  async function look(what: string, expected: Buffer, read: () => Promise<Uint8Array | undefined>) {
    try {
      const found = await read();
      if (!found || Buffer.compare(found, expected) !== 0) wrong.push(what);
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      if (code === 'CORRUPT') unreadable.add(message);
      else wrong.push(`${what}: ${message}`);
    }
  }
  for (const [key, value] of state) await look(`state ${key}`, value, () => engine.get(key));
  for (const [seq, bytes] of log) {
    await look(`log ${seq}`, bytes, async () => (await engine.readLog(1, seq))?.bytes);
    await look(`log ${seq}`, bytes, async () => (await engine.nextLog(1, seq))?.bytes);
  }
  if (unreadable.size === 0 && !(await sameKeys(engine, { state, log }))) wrong.push('keys');
  if (wrong.length > 0) return `wrong: ${wrong.slice(0, 5).join(', ')}`;
  return unreadable.size > 0 ? `unreadable: ${[...unreadable].join('; ')}` : 'intact';
}

/** Nothing is there that was deleted. */
async function sameKeys(engine: Engine, { state, log }: Content): Promise<boolean> {
  const found = await engine.scan({ start: 'S', end: 'T', limit: 100_000 });
  let records = 0;
  let entry = await engine.nextLog(1, 0);
  for (; entry !== undefined; records++) entry = await engine.nextLog(1, entry.firstSeq + 1);
  return found.length === state.size && records === log.size;
}
