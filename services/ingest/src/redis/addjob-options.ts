import type { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { JobOptions } from '../batch.js';
import { debounceFault } from '../job-debounce.js';
import { addHeader, headersFault } from '../job-headers.js';
import { timesFault } from '../job-times.js';
import { headerAt, seconds } from './words.js';

/** What ADDJOB asks for beside queue and body. */
export interface AddjobWish {
  /** 0: wait as long as it takes. */
  timeoutMs: number;
  job: Partial<Omit<common.Job, 'body' | 'headers'>>;
  headers: Record<string, string>;
  options: JobOptions;
}

type Apply = (wish: AddjobWish, value: string, nowMs: number) => void;

const OPTIONS: Readonly<Record<string, Apply>> = {
  DELAY(wish, value, nowMs) {
    const delayMs = seconds('DELAY', value);
    if (delayMs > 0) wish.job.deliverAtMs = wish.options.deliverAtMs = nowMs + delayMs;
  },
  RETRY(wish, value) {
    wish.options.leaseMs = seconds('RETRY', value);
  },
  TTL(wish, value, nowMs) {
    const ttlMs = seconds('TTL', value);
    if (ttlMs > 0) wish.job.expiresAtMs = wish.options.expiresAtMs = nowMs + ttlMs;
  },
  MAXLEN(wish, value) {
    wish.options.maxWaiting = whole('MAXLEN', value);
  },
  KEY(wish, value) {
    wish.job.key = value;
  },
  UNIQUE(wish, value) {
    if (value === '') throw new BusError('INVALID', 'UNIQUE needs an id that is not empty');
    wish.job.idempotencyKey = wish.options.idempotencyKey = value;
  },
  WINDOW(wish, value) {
    if (!wish.options.idempotencyKey) throw new BusError('INVALID', 'WINDOW belongs behind UNIQUE');
    wish.options.idempotencyWindowMs = seconds('WINDOW', value);
  },
  DEBOUNCE(wish, value) {
    wish.job.debounceMs = wish.options.debounceMs = seconds('DEBOUNCE', value);
  },
  MAXWAIT(wish, value) {
    wish.job.debounceMaxMs = wish.options.debounceMaxMs = seconds('MAXWAIT', value);
  },
  PRIORITY(wish, value) {
    const priority = whole('PRIORITY', value);
    if (priority > 9) throw new BusError('INVALID', `PRIORITY ${value}: 0 (usual) to 9 (first)`);
    wish.job.priority = wish.options.priority = priority;
  },
  BATCH(wish, value) {
    if (value === '') throw new BusError('INVALID', 'ADDJOB BATCH needs an id that is not empty');
    wish.job.batch = wish.options.batch = value;
  },
};

const REFUSED: Readonly<Record<string, string>> = {
  ASYNC: 'ADDJOB ASYNC is refused: a yes means that the job is on disk',
  REPLICATE: 'ADDJOB REPLICATE is refused: how often a job is kept is a setting of the store',
};

/** Reads `timeout [option value]...`; throws INVALID for what is unknown or out of range. */
export function parseAddjob(words: readonly string[], nowMs: number): AddjobWish {
  const wish: AddjobWish = {
    timeoutMs: whole('timeout (milliseconds)', words[0] ?? ''),
    job: {},
    headers: {},
    options: {},
  };
  for (let i = 1; i < words.length; i += 2) {
    const name = (words[i] as string).toUpperCase();
    const value = words[i + 1];
    if (name === 'HEADER') {
      i++;
      addHeader(wish.headers, ...headerAt('ADDJOB', words, i));
      continue;
    }
    const apply = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (!apply) {
      const known = [...Object.keys(OPTIONS), 'HEADER'].join(', ');
      const text = `ADDJOB has no option '${words[i]}'; it knows ${known}`;
      throw new BusError('INVALID', REFUSED[name] ?? text);
    }
    if (value === undefined) throw new BusError('INVALID', `ADDJOB ${name} needs a value`);
    apply(wish, value, nowMs);
  }
  const fault =
    headersFault(wish.headers) ?? timesFault(wish.options) ?? debounceFault(wish.options);
  if (fault) throw fault;
  return wish;
}

function whole(name: string, text: string): number {
  if (!/^\d{1,12}$/.test(text)) {
    throw new BusError('INVALID', `${name} must be a whole number, got '${text.slice(0, 32)}'`);
  }
  return Number(text);
}
