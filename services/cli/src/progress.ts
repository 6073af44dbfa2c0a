import type { Clock } from '@malabar/core';
import type { Terminal } from './terminal.js';

/** How far a long piece of work is. */
export interface Progress {
  /** Says how much is done; `total` may change, 0 when nobody knows it. */
  update(done: number, total: number): void;
  /** Takes the bar away, so that the answer stands alone. */
  finish(): void;
}

const BAR = 24;
const REDRAW_MS = 100;
const ERASE = '\r\u001b[K';

/**
 * A bar on stderr, drawn at most ten times a second and only for a person who is watching: not in
 * a pipe, not with --json. Work that ends within the first tenth shows none.
 */
export function createProgress(terminal: Terminal, clock: Clock, title: string): Progress {
  let drawnAtMs = clock.now();
  let visible = false;
  return {
    update(done, total) {
      const now = clock.now();
      if (!terminal.animated || now - drawnAtMs < REDRAW_MS) return;
      drawnAtMs = now;
      visible = true;
      terminal.draw(ERASE + progressLine(title, done, total));
    },
    finish() {
      if (visible) terminal.draw(ERASE);
      visible = false;
    },
  };
}

/** The bar as text; without a total only the count. */
export function progressLine(title: string, done: number, total: number): string {
  const count = done.toLocaleString('en');
  if (total <= 0) return `${title} ${count}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR);
  const bar = '#'.repeat(filled) + '.'.repeat(BAR - filled);
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return `${title} [${bar}] ${percent}  ${count} of ${total.toLocaleString('en')}`;
}
