import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BusError } from '@malabar/core';

/** Who has a store. */
interface Owner {
  pid: number;
  /** Start of the process in the kernel's ticks: a process id is used again, the pair is not. */
  startedAt: string;
  /** Boot and process namespace, hashed: elsewhere the process id means another process. */
  world: string;
  token: string;
}

export interface Ownership {
  /** Gives the store up. Does nothing if another process has taken it over. */
  release(): void;
}

/**
 * Makes this process the only one that has the folder open, by a symbolic link `owner` that leads nowhere
 * and names it: made at once with what it says, or not at all, and on a full disk too. Throws UNAVAILABLE,
 * naming the process that has the folder. What a dead process left is taken over; so is what one left that
 * cannot be seen from here (another container, another boot): if it lives, the engine's epoch fences it.
 */
export function takeOwnership(folder: string): Ownership {
  const link = join(folder, 'owner');
  const self: Owner = {
    pid: process.pid,
    startedAt: startOf(process.pid) ?? '',
    world: world(),
    token: randomBytes(4).toString('hex'),
  };
  while (!placed(self, link)) removeStale(link, `${link}.${self.token}`, folder);
  return {
    release() {
      if (read(link)?.token === self.token) unlinkSync(link);
    },
  };
}

function placed({ pid, startedAt, world, token }: Owner, link: string): boolean {
  try {
    // Short enough (60 bytes) to be kept in the inode.
    symlinkSync([pid, startedAt, world, token].join(' '), link);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a dead owner's link away, or throws because the owner lives. */
function removeStale(link: string, aside: string, folder: string): void {
  const seen = read(link);
  if (seen !== undefined && alive(seen)) throw taken(folder, seen);
  // Two processes may find the same stale link: the slower one must not remove the faster one's.
  try {
    renameSync(link, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = read(aside);
  if (moved !== undefined && moved.token !== seen?.token) placed(moved, link);
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

/** Undefined if there is none, or one that nobody here has made. */
function read(link: string): Owner | undefined {
  try {
    const [pid, startedAt = '', world = '', token = ''] = readlinkSync(link).split(' ');
    return { pid: Number(pid), startedAt, world, token };
  } catch {
    return undefined;
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
    const both = `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
    return createHash('sha256').update(both).digest('hex').slice(0, 8);
  } catch {
    return process.platform;
  }
}
