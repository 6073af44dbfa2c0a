import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Collected } from './needles.js';

const WINDOW_BYTES = 8 * 1024 * 1024;
/** A secret on the edge of a window stands in the next one, too. */
const OVERLAP_BYTES = 4 * 1024;

/** The content of every file in a folder, in windows; what is only reserved on disk is left out. */
export function readFolder(folder: string): Collected[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .flatMap((entry) => readWindows(join(entry.parentPath, entry.name)));
}

function readWindows(path: string): Collected[] {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const windows: Collected[] = [];
    for (let at = 0; at < size; at += WINDOW_BYTES - OVERLAP_BYTES) {
      const window = Buffer.alloc(Math.min(WINDOW_BYTES, size - at));
      const content = window.subarray(0, readSync(file, window, 0, window.length, at));
      if (content.some((byte) => byte !== 0)) windows.push({ where: `file ${path}`, content });
    }
    return windows;
  } finally {
    closeSync(file);
  }
}
