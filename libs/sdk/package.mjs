// Makes libs/sdk/package, which is what is published: one bundle without our other workspaces, types
// that need none of them, the README and the examples. `npm run package -w @malabar/sdk -- <folder>`.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const out = resolve(process.argv[2] ?? join(here, 'package'));
const read = (path) => readFileSync(path, 'utf8');
const own = JSON.parse(read(join(here, 'package.json')));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const externals = await bundle();
copyTypes();
for (const file of ['README.md', 'examples']) {
  cpSync(join(here, file), join(out, file), {
    recursive: true,
    filter: (path) => !/(orders\.log|\.gitignore|tsconfig\.json)$/.test(path),
  });
}
cpSync(join(root, 'LICENSE'), join(out, 'LICENSE'));
writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest(), undefined, 2)}\n`);
console.log(`${relative(process.cwd(), out) || '.'}: needs ${[...externals].join(', ')}`);

/** Everything that is ours in one file; returns the packages that it needs beside. */
async function bundle() {
  const { metafile } = await build({
    entryPoints: [join(here, 'src/index.ts')],
    outfile: join(out, 'index.js'),
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['source'],
    // Ours is taken in, everybody else's is a dependency.
    plugins: [{ name: 'ours', setup: keepOthersOut }],
    metafile: true,
    logLevel: 'warning',
  });
  const [output] = Object.values(metafile.outputs);
  const imported = output.imports.filter(({ path }) => !path.startsWith('node:'));
  return new Set(imported.map(({ path }) => packageOf(path)).sort());
}

function keepOthersOut(esbuild) {
  esbuild.onResolve({ filter: /./ }, async ({ path, pluginData, ...where }) => {
    if (pluginData === 'ours' || where.kind === 'entry-point') return undefined;
    // Modules of which nothing is used are left out: none does anything by being loaded.
    if (!/^(\.|@malabar\/)/.test(path)) return { path, external: true, sideEffects: false };
    return {
      ...(await esbuild.resolve(path, { ...where, pluginData: 'ours' })),
      sideEffects: false,
    };
  });
}

function packageOf(path) {
  return path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/');
}

/** The declarations that the entry reaches. */
function copyTypes() {
  const waiting = ['index.d.ts'];
  const seen = new Set(waiting);
  for (const file of waiting) {
    const text = read(join(here, 'dist', file));
    if (text.includes('@malabar/')) throw new Error(`${file}: a public type needs a workspace`);
    mkdirSync(dirname(join(out, file)), { recursive: true });
    writeFileSync(join(out, file), text);
    for (const [, path] of text.matchAll(/from '(\.[^']*)\.js'/g)) {
      const next = join(dirname(file), `${path}.d.ts`);
      if (!seen.has(next)) waiting.push(next);
      seen.add(next);
    }
  }
}

function manifest() {
  const { name, version, description, license, type, engines } = own;
  const dependencies = Object.fromEntries([...externals].map((each) => [each, versionOf(each)]));
  const exports = { '.': { types: './index.d.ts', default: './index.js' } };
  return { name, version, description, license, type, engines, exports, dependencies };
}

/** As the workspace that uses it wants it. */
function versionOf(name) {
  for (const workspace of ['rpc', 'contracts', 'core', 'keeper-client', 'typed-config']) {
    const found = JSON.parse(read(join(root, 'libs', workspace, 'package.json'))).dependencies[
      name
    ];
    if (found !== undefined) return found;
  }
  throw new Error(`no workspace says which ${name} it needs`);
}
