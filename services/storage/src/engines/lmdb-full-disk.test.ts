import { join } from 'node:path';
import { needs, type Requirement, run, tempDir } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { childEnd, startChild } from './testing/child.js';

const FILE_BYTES_MAX = 12 * 1024 * 1024;

interface Stage {
  stage: string;
  accepted: number;
  dropped: number;
  codes: string[];
  unreadable: number[];
}

const namespace = await tool('a namespace of its own to mount in', 'unshare', ['-rm', 'true']);
const prlimit = await tool('prlimit', 'prlimit', ['--version']);

describe('a store whose disk is full', { timeout: 120_000 }, () => {
  needs(test, namespace)('refuses, loses nothing, empties itself and goes on (tmpfs)', async () => {
    const folder = tempDir('full-disk');
    const script =
      'mount -t tmpfs -o size=40m tmpfs "$0" && head -c 16M /dev/zero > "$0/other" && exec "$@"';
    const child = startChild('full-disk-child.ts', [folder, join(folder, 'other')], {
      through: ['unshare', '-rm', 'sh', '-c', script, folder],
    });
    const seen = stages(await childEnd(child));
    expectRefusedAndWhole(seen);
    // The reserve is there for this.
    expect(seen.dropped?.codes).toEqual([]);
    expect(seen.dropped?.dropped).toBeGreaterThan(50);
    expect(seen.refilled?.accepted).toBeGreaterThan(10);
  });

  needs(test, prlimit)('refuses, loses nothing and goes on (limit of file sizes)', async () => {
    const folder = tempDir('full-disk');
    const child = startChild('full-disk-child.ts', [folder], {
      through: ['prlimit', `--fsize=${FILE_BYTES_MAX}:`],
    });
    let raised = false;
    const end = await childEnd(child, (printed) => {
      if (raised || !printed.includes('"waiting"')) return;
      raised = true;
      run('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:']).then(
        () => child.stdin?.write('\n'),
        () => child.kill(),
      );
    });
    expectRefusedAndWhole(stages(end));
  });
});

function expectRefusedAndWhole(seen: Record<string, Stage>): void {
  expect(seen.filled?.codes).toEqual(['DISK_FULL']);
  expect(seen.filled?.accepted).toBeGreaterThan(100);
  expect(seen.refilled?.codes).toEqual(['DISK_FULL']);
  for (const stage of ['afterFilling', 'reopened', 'end'])
    expect(seen[stage], stage).toEqual({ stage, unreadable: [] });
  expect(seen.withRoom).toMatchObject({ accepted: 100, codes: [] });
}

function stages({ stdout, stderr, code }: { stdout: string; stderr: string; code: number | null }) {
  if (code !== 0) throw new Error(`the child ended with ${code} after:\n${stdout}\n${stderr}`);
  const lines = stdout.trim().split('\n');
  return Object.fromEntries(
    lines.map((line) => JSON.parse(line) as Stage).map((stage) => [stage.stage, stage]),
  );
}

async function tool(name: string, command: string, args: string[]): Promise<Requirement> {
  const { code, stderr } = await run(command, args).catch((error) => ({
    code: 1,
    stderr: `${error}`,
  }));
  return code === 0 ? { name } : { name, missing: `${name}: ${stderr.trim()}` };
}
