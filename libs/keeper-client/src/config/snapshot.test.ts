import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { effective } from './config.suite.js';
import {
  decodeSnapshot,
  encodeSnapshot,
  readSnapshot,
  type Snapshot,
  writeSnapshot,
} from './snapshot.js';

const SNAPSHOT: Snapshot = {
  nodeId: 'n',
  domains: [
    {
      subscriptions: [{ file: '/redis.conf', section: '', verbatim: false }],
      withoutSecrets: false,
      config: effective(7, { password: ['secret', 'open sesame'], port: ['int', '1'] }),
    },
  ],
};

const path = (): string => join(tempDir('snapshot'), 'sub', 'node.snapshot');

test('a snapshot is read as it was written, by its owner alone', async () => {
  const file = path();
  await writeSnapshot(file, SNAPSHOT);
  expect(await readSnapshot(file)).toEqual(SNAPSHOT);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('one that is not there is no error', async () => {
  expect(await readSnapshot(path())).toBeUndefined();
});

test('with a key nothing of it can be read without the key', async () => {
  const file = path();
  await writeSnapshot(file, SNAPSHOT, 'my key');
  expect(readFileSync(file, 'latin1')).not.toMatch(/open sesame|redis|password/);
  expect(await readSnapshot(file, Buffer.from('my key'))).toEqual(SNAPSHOT);
  await expect(readSnapshot(file, 'another key')).rejects.toThrow('does not open with this key');
  await expect(readSnapshot(file)).rejects.toThrow('is encrypted, and no key is given');
});

test.each([undefined, 'my key'])('a snapshot with any bit changed is refused (key: %s)', (key) => {
  const whole = encodeSnapshot(SNAPSHOT, key);
  const random = seededRandom(11);
  const positions = [0, 20, whole.indexOf('\n'), whole.length - 1];
  for (let at = 0; at < 500; at++) positions.push(Math.floor(random() * whole.length));
  for (const at of positions) {
    const broken = Buffer.from(whole);
    broken[at] = (broken[at] as number) ^ (1 << Math.floor(random() * 8));
    expect(() => decodeSnapshot(broken, key)).toThrow(/^(is|does)/);
  }
});

test.each([undefined, 'my key'])('a snapshot that is cut short is refused (key: %s)', (key) => {
  const whole = encodeSnapshot(SNAPSHOT, key);
  for (let length = 0; length < whole.length; length++) {
    expect(() => decodeSnapshot(whole.subarray(0, length), key)).toThrow();
  }
});

test('the error names the file and the reason', async () => {
  const file = join(tempDir('snapshot'), 'node.snapshot');
  writeFileSync(file, 'something else');
  await expect(readSnapshot(file)).rejects.toMatchObject({
    code: 'CORRUPT',
    message: `snapshot ${file}: is no snapshot of this version`,
  });
});

test('what lies where the new snapshot is prepared does not matter', async () => {
  const folder = tempDir('snapshot');
  const elsewhere = join(folder, 'elsewhere');
  writeFileSync(elsewhere, 'precious');
  symlinkSync(elsewhere, join(folder, 'node.snapshot.new'));
  await writeSnapshot(join(folder, 'node.snapshot'), SNAPSHOT);
  expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
  expect(await readSnapshot(join(folder, 'node.snapshot'))).toEqual(SNAPSHOT);
});
