import {
  closeSync,
  fsyncSync,
  openSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const RESERVE_BYTES = 4 * 1024 * 1024;

export interface Reserve {
  /** True if the reserve is there, or could be made again. */
  ready(): boolean;
  /** Gives its room back to the disk; false if there is none to give. */
  release(): boolean;
}

/**
 * Room on the disk for the commits that must still work when it is full: LMDB writes new pages even to
 * delete, so without it a full store could never empty itself. While the reserve is spent, nothing new
 * is accepted.
 */
export function createReserve(folder: string): Reserve {
  const file = join(folder, 'reserve');

  function make(): boolean {
    // Asking is cheap; writing megabytes to a full disk on every refused job is not.
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < 2 * RESERVE_BYTES) return false;
    try {
      fill(file);
      return true;
    } catch {
      release();
      return false;
    }
  }

  function release(): boolean {
    try {
      unlinkSync(file);
      return true;
    } catch {
      return false;
    }
  }

  let there = statSync(file, { throwIfNoEntry: false })?.size === RESERVE_BYTES;
  return {
    ready() {
      there ||= make();
      return there;
    },
    release() {
      there = false;
      return release();
    },
  };
}

function fill(file: string): void {
  const fd = openSync(file, 'w');
  try {
    // Written, not only made longer: a file of nothing but length takes no room.
    const zeros = Buffer.alloc(RESERVE_BYTES);
    for (let at = 0; at < zeros.length; ) at += writeSync(fd, zeros, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
