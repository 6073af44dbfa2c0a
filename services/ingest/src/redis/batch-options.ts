import { batches } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { addHeader } from '../job-headers.js';
import { headerAt, seconds } from './words.js';

/** What BATCHOPEN asks for beside queue and body. */
export interface BatchWish {
  on: batches.BatchOn;
  headers: Record<string, string>;
  /** 0: the default. */
  expiresAfterMs: number;
}

const ON: Readonly<Record<string, batches.BatchOn>> = {
  ALWAYS: batches.BatchOn.ALWAYS,
  SUCCESS: batches.BatchOn.SUCCESS,
};

/** Reads `[ON ALWAYS|SUCCESS] [EXPIRES s] [HEADER name value]...`. Throws INVALID. */
export function parseBatchOptions(words: readonly string[]): BatchWish {
  const wish: BatchWish = { on: batches.BatchOn.ALWAYS, headers: {}, expiresAfterMs: 0 };
  for (let i = 0; i < words.length; i += 2) {
    const name = (words[i] as string).toUpperCase();
    if (name === 'HEADER') {
      i++;
      addHeader(wish.headers, ...headerAt('BATCHOPEN', words, i));
      continue;
    }
    const value = words[i + 1];
    if (name !== 'ON' && name !== 'EXPIRES')
      throw invalid(`BATCHOPEN has no option '${words[i]}'; it knows ON, EXPIRES, HEADER`);
    if (value === undefined) throw invalid(`BATCHOPEN ${name} needs a value`);
    if (name === 'ON') wish.on = onOf(value);
    else wish.expiresAfterMs = seconds('EXPIRES', value);
  }
  return wish;
}

function onOf(value: string): batches.BatchOn {
  const name = value.toUpperCase();
  if (Object.hasOwn(ON, name)) return ON[name] as batches.BatchOn;
  throw invalid(`BATCHOPEN ON ${value.slice(0, 32)}: ALWAYS or SUCCESS`);
}

const invalid = (text: string): BusError => new BusError('INVALID', text);
