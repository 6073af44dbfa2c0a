// Generates libs/contracts/src/gen from the proto files: TypeScript with ts-proto, and the
// descriptor set that gRPC reflection serves.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const proto = dirname(fileURLToPath(import.meta.url));
const out = join(proto, '../libs/contracts/src/gen');
const buf = join(
  dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')),
  'bin/buf',
);
const run = (...args) =>
  execFileSync(process.execPath, [buf, ...args], { cwd: proto, stdio: 'inherit' });

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
run('generate');
run('build', '--as-file-descriptor-set', '-o', join(out, 'descriptors.binpb'));
