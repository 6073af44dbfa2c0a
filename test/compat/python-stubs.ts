import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, tempDir } from '@malabar/testkit';

const protos = fileURLToPath(new URL('../../proto/', import.meta.url));

/** Python code of the contracts, made as docs/workers.md says; the folder for PYTHONPATH. */
export async function pythonStubs(): Promise<string> {
  const folder = join(tempDir('python'), 'gen');
  mkdirSync(folder);
  const files = readdirSync(protos, { recursive: true, encoding: 'utf8' });
  const { code, stderr } = await run('protoc', [
    `--proto_path=${protos}`,
    `--python_out=${folder}`,
    `--grpc_python_out=${folder}`,
    '--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin',
    ...files.filter((file) => file.endsWith('.proto')),
  ]);
  if (code !== 0) throw new Error(stderr);
  return folder;
}
