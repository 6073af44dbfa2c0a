import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const depcruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
const planted: string[] = [];

afterEach(() => {
  for (const dir of planted.splice(0)) rmSync(dir, { recursive: true, force: true });
});

interface Module {
  source: string;
  dependencies: { resolved: string }[];
}

/** What the tool read. */
function readModules(cwd: string): Module[] {
  return JSON.parse(run(cwd, 'json').stdout).modules;
}

/** The verdict in the form that `make check` sees: exit code and report. */
function verdict(cwd: string): { exitCode: number | null; report: string } {
  const { status, stdout } = run(cwd, 'err');
  return { exitCode: status, report: stdout };
}

function run(cwd: string, output: string) {
  const args = ['libs', 'services', '--config', '.dependency-cruiser.cjs', '--output-type', output];
  return spawnSync(process.execPath, [depcruise, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** A small workspace under the repository's own rules, with the given sources. */
function plant(sources: Record<string, string>): string {
  const dir = mkdtempSync(join(tmpdir(), 'malabar-boundaries-'));
  planted.push(dir);
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.base.json', 'package.json']) {
    cpSync(join(root, file), join(dir, file));
  }
  mkdirSync(join(dir, 'node_modules/@malabar'), { recursive: true });
  for (const name of [
    'libs/core',
    'libs/rpc',
    'libs/testkit',
    'services/ingest',
    'services/keeper',
  ])
    plantPackage(dir, name);
  for (const [file, text] of Object.entries(sources)) writeFileSync(join(dir, file), text);
  return dir;
}

function plantPackage(dir: string, name: string): void {
  mkdirSync(join(dir, name, 'src'), { recursive: true });
  cpSync(join(root, name, 'package.json'), join(dir, name, 'package.json'));
  const entry = name.startsWith('libs/') ? 'index.ts' : 'module.ts';
  writeFileSync(join(dir, name, 'src', entry), 'export const word = 1;\n');
  symlinkSync(join(dir, name), join(dir, 'node_modules/@malabar', name.split('/')[1] ?? ''));
}

test('the repository keeps its own boundaries, and the tool really reads it', () => {
  expect(verdict(root)).toMatchObject({ exitCode: 0 });
  const sources = readModules(root).filter(({ source }) => source.endsWith('.ts'));
  expect(sources.length).toBeGreaterThan(40);
  const crossings = sources.filter(
    ({ source, dependencies }) =>
      source.startsWith('services/') && dependencies.some((d) => d.resolved.startsWith('libs/')),
  );
  expect(crossings.length).toBeGreaterThan(5);
});

test('a workspace that keeps the rules passes them', () => {
  const dir = plant({
    'services/ingest/src/module.ts': "export { word } from '@malabar/core';\n",
    'libs/rpc/src/index.ts': "export { word } from '@malabar/core';\n",
  });
  expect(verdict(dir)).toMatchObject({ exitCode: 0 });
  const ingest = readModules(dir).find((each) => each.source === 'services/ingest/src/module.ts');
  expect(ingest?.dependencies.map((d) => d.resolved)).toEqual(['libs/core/src/index.ts']);
});

const violations = [
  {
    what: 'a service that imports a service by its package',
    rule: 'service-to-service',
    file: 'services/ingest/src/module.ts',
    text: "export { word } from '@malabar/keeper/module';\n",
  },
  {
    what: 'a service that imports a service by its path',
    rule: 'service-to-service',
    file: 'services/ingest/src/module.ts',
    text: "export { word } from '../../keeper/src/module.js';\n",
  },
  {
    what: 'a service that imports only a type of a service',
    rule: 'service-to-service',
    file: 'services/ingest/src/module.ts',
    text: "import type { word } from '@malabar/keeper/module';\nexport type Word = typeof word;\n",
  },
  {
    what: 'a lib that imports a service',
    rule: 'lib-to-service',
    file: 'libs/rpc/src/index.ts',
    text: "export { word } from '@malabar/keeper/module';\n",
  },
  {
    what: 'a core that imports another lib',
    rule: 'core-imports-nothing',
    file: 'libs/core/src/index.ts',
    text: "export { word } from '@malabar/rpc';\n",
  },
  {
    what: 'production code that imports the testkit',
    rule: 'testkit-in-tests-only',
    file: 'services/ingest/src/module.ts',
    text: "export { word } from '@malabar/testkit';\n",
  },
  {
    what: 'an import of nothing',
    rule: 'resolvable',
    file: 'services/ingest/src/module.ts',
    text: "export { word } from './missing.js';\n",
  },
];

for (const { what, rule, file, text } of violations) {
  test(`the check fails on ${what}`, () => {
    const { exitCode, report } = verdict(plant({ [file]: text }));
    expect(report).toContain(`error ${rule}: ${file}`);
    expect(exitCode).toBeGreaterThan(0);
  });
}

test('the check fails on files that import each other in a circle', () => {
  const dir = plant({
    'libs/core/src/index.ts':
      "import { other } from './other.js';\nexport const word = () => other;\n",
    'libs/core/src/other.ts':
      "import { word } from './index.js';\nexport const other = () => word;\n",
  });
  cpSync(join(root, 'biome.json'), join(dir, 'biome.json'));
  const { status, stderr } = spawnSync(process.execPath, [biome, 'check', 'libs'], {
    cwd: dir,
    encoding: 'utf8',
  });
  expect(stderr).toContain('lint/suspicious/noImportCycles');
  expect(status).toBeGreaterThan(0);
});
