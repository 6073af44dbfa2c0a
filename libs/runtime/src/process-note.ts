import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceName } from '@malabar/core';

/** What a process tells the `malabar` command on the same machine, which may have no keeper to ask. */
export interface ProcessNote {
  node: string;
  services: readonly ServiceName[];
  /** host:port of its gRPC and of its health. */
  grpcAddress: string;
  opsAddress: string;
  startedAtMs: number;
}

/** Leaves the note in the data folder; of processes with the same services only the last one's stays. */
export async function leaveProcessNote(data: string, note: ProcessNote): Promise<void> {
  const folder = folderOf(data);
  const path = join(folder, fileOf(note));
  await mkdir(folder, { recursive: true });
  // One that reads meanwhile gets the old file or the new one.
  await writeFile(`${path}.new`, `${JSON.stringify(note)}\n`);
  await rename(`${path}.new`, path);
}

/** Takes the note of a process that ends away, unless it is another one's by now. */
export async function takeProcessNote(data: string, note: ProcessNote): Promise<void> {
  const path = join(folderOf(data), fileOf(note));
  if ((await readNote(path))?.node === note.node) await rm(path, { force: true });
}

/** The notes of processes that run, or that died without taking theirs away. */
export async function readProcessNotes(data: string): Promise<ProcessNote[]> {
  const names = await readdir(folderOf(data)).catch(() => []);
  const files = names.filter((name) => name.endsWith('.json')).sort();
  const found = await Promise.all(files.map((name) => readNote(join(folderOf(data), name))));
  return found.filter((note) => note !== undefined);
}

async function readNote(path: string): Promise<ProcessNote | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const folderOf = (data: string): string => join(data, 'run');

const fileOf = ({ services }: ProcessNote): string => `${services.join('+')}.json`;
