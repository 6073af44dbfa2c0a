import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkFile } from '@malabar/lmdb';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { createLmdbEngine } from './lmdb.js';
import { childEnd, startChild } from './testing/child.js';
import { compare, fillStore } from './testing/filled-store.js';

const DAMAGES = 120;

const original = join(tempDir('damage'), 'original');
const content = await fillStore(original);

function copy(): { path: string; file: string } {
  const path = tempDir('damage');
  const file = join(path, 'data.mdb');
  copyFileSync(join(original, 'data.mdb'), file);
  return { path, file };
}

test('whatever is damaged, a store opens with all its data or refuses, and never crashes', {
  timeout: 180_000,
}, async () => {
  const child = startChild('damage-child.ts', [tempDir('damage'), '0', String(DAMAGES)]);
  const { code, signal, stdout, stderr } = await childEnd(child);
  expect({ code, signal, stdout, stderr }).toMatchObject({ code: 0, signal: null });
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(DAMAGES);
  const outcomes = lines.map((line) => / (refused|intact)\b/.exec(line)?.[1] ?? line);
  expect(new Set(outcomes)).toEqual(new Set(['refused', 'intact']));
  expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(DAMAGES / 2);
});

test.each([
  ['is empty', (bytes: Buffer) => bytes.subarray(0, 0), /it has been cut/],
  ['is cut in its first page', (bytes: Buffer) => bytes.subarray(0, 100), /it has been cut/],
  ['has lost its end', (bytes: Buffer) => bytes.subarray(0, 40_960), /it has been cut/],
  ['is of another kind', (bytes: Buffer) => Buffer.alloc(bytes.length, 'garbage'), /LMDB file/],
  ['is nothing but zeros', (bytes: Buffer) => Buffer.alloc(bytes.length), /LMDB file/],
])('a file that %s is refused, with what to do', async (_, change, fault) => {
  const { path, file } = copy();
  const changed = change(readFileSync(file));
  writeFileSync(file, changed);
  const engine = createLmdbEngine({ path });
  const refusal = (await engine.open().catch((error) => error)) as {
    code: string;
    message: string;
  };
  expect(refusal).toMatchObject({ code: 'CORRUPT', message: expect.stringContaining(file) });
  expect(refusal.message).toMatch(fault);
  expect(refusal.message).toMatch(/backup.*move it away.*verify/s);
  expect(Buffer.compare(readFileSync(file), changed)).toBe(0);
});

test('damage that a start did not look for is an error of that record alone', async () => {
  const { path, file } = copy();
  const [seq, victim] = [...content.log].find(([, bytes]) => bytes.length > 9000) ?? [];
  flipLastCopy(file, victim as Buffer);
  const engine = createLmdbEngine({ path, checkBytesMax: 0 });
  await engine.open();
  const seen = await compare(engine, content);
  await engine.close();
  expect(seen).toBe(
    `unreadable: log record ${seq} of shard 1 is damaged: its checksum does not match`,
  );
  expect(() => [...checkFile(file)]).toThrow(/checksum does not match/);
});

test('a whole file passes a check that reads all of it', async () => {
  const steps = [...checkFile(join(original, 'data.mdb'))];
  // The epoch is a record, too.
  expect(steps.at(-1)?.entries).toBe(content.state.size + content.log.size + 1);
});

test('what an interrupted start has left is removed, and nothing else', async () => {
  const empty = tempDir('damage');
  for (const path of [empty, copy().path]) {
    writeFileSync(join(path, 'data.mdb.new'), 'half');
    const engine = createLmdbEngine({ path });
    expect(await engine.open()).toBe(path === empty ? 1 : 2);
    expect(await compare(engine, path === empty ? nothing : content)).toBe('intact');
    await engine.close();
  }
});

const nothing = { state: new Map(), log: new Map() };

/** Damages one byte in the middle of the copy that is in use: of equal bytes in free pages there may be more. */
function flipLastCopy(file: string, bytes: Buffer): void {
  const whole = readFileSync(file);
  const needle = bytes.subarray(200, 3000);
  let at = whole.indexOf(needle);
  if (at < 0) throw new Error('the record is not in one piece');
  for (; at >= 0; at = whole.indexOf(needle, at + 1))
    whole[at + 1500] = (whole[at + 1500] as number) ^ 0x10;
  writeFileSync(file, whole);
}
