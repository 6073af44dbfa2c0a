import { randomBytes } from 'node:crypto';
import {
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BusError } from '@malabar/core';

/** Who has a store, as its `owner` file says. */
interface Owner {
  pid: number;
  /** Start of the process in the kernel's ticks: a process id is used again, the pair is not. */
  startedAt: string;
  /** Boot and process namespace: elsewhere the process id means another process. */
  world: string;
  token: string;
}

export interface Ownership {
  /** Gives the store up. Does nothing if another process has taken it over. */
  release(): void;
}

/**
 * Makes this process the only one that has the folder open. Throws UNAVAILABLE, naming the process that
 * has it. What a dead process left is taken over; so is the file of an owner that cannot be seen from
 * here (another container, another boot): if that one lives, the engine's epoch fences its commits.
 */
export function takeOwnership(folder: string): Ownership {
  const file = join(folder, 'owner');
  const self: Owner = {
    pid: process.pid,
    startedAt: startOf(process.pid) ?? '',
    world: world(),
    token: randomBytes(8).toString('hex'),
  };
  const mine = `${file}.${self.token}`;
  // Written apart and then linked, so that nobody reads half a file.
  writeFileSync(mine, `${JSON.stringify(self)}\n`);
  try {
    while (!linked(mine, file)) removeStale(file, `${mine}.stale`, folder);
  } finally {
    unlinkSync(mine);
  }
  return { release: () => void (read(file)?.token === self.token && remove(file)) };
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a dead owner's file away, or throws because the owner lives. */
function removeStale(file: string, aside: string, folder: string): void {
  const seen = read(file);
  if (seen !== undefined && alive(seen)) throw taken(folder, seen);
  // Two processes may find the same stale file: the slower one must not remove the faster one's.
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = read(aside);
  if (moved?.token !== seen?.token) linked(aside, file);
  unlinkSync(aside);
}

function taken(folder: string, { pid }: Owner): BusError {
  const who = pid === process.pid ? `this process (pid ${pid})` : `process ${pid}`;
  return new BusError(
    'UNAVAILABLE',
    `${folder} is in use by ${who}. One process at a time may have a store: stop that one, or give this ` +
      'one another folder.',
  );
}

/** Undefined if there is none, or one that was never written whole. */
function read(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function alive(owner: Owner): boolean {
  if (owner.world !== world()) return false;
  if (owner.startedAt !== '') return startOf(owner.pid) === owner.startedAt;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Field 22 of /proc/<pid>/stat (proc_pid_stat(5)); undefined if the process is gone or there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in brackets and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function world(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return process.platform;
  }
}
