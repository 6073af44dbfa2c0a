import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';

const ERROR_BYTES_MAX = 16 * 1024;
const CODE_LENGTH_MAX = 128;
/** A consumer may not put a job off for longer. */
const AFTER_SECONDS_MAX = 30 * 86_400;

/** What a consumer says about the jobs that it could not do. */
export interface NackWish {
  receipts: string[];
  /** The same for all of them. */
  outcome: Pick<common.Outcome, 'kind' | 'retryAfterMs' | 'errorCode' | 'error'>;
}

type Apply = (wish: NackWish, value: string) => void;

const KINDS: Readonly<Record<string, common.OutcomeKind>> = {
  DEAD: common.OutcomeKind.DEAD,
  CRASH: common.OutcomeKind.CRASH,
  RELEASE: common.OutcomeKind.RELEASE,
};

const OPTIONS: Readonly<Record<string, Apply>> = {
  AFTER(wish, value) {
    const seconds = /^\d{1,10}(\.\d{1,3})?$/.test(value) ? Number(value) : Number.NaN;
    if (!(seconds <= AFTER_SECONDS_MAX)) {
      const range = `0 to ${AFTER_SECONDS_MAX} seconds`;
      throw new BusError('INVALID', `NACK AFTER must be ${range}, got '${value.slice(0, 32)}'`);
    }
    wish.outcome.retryAfterMs = Math.round(seconds * 1000);
  },
  CODE(wish, value) {
    wish.outcome.errorCode = value.slice(0, CODE_LENGTH_MAX);
  },
  ERROR(wish, value) {
    wish.outcome.error = Buffer.from(value).subarray(0, ERROR_BYTES_MAX).toString();
  },
};

/** Reads `receipt... [DEAD | CRASH | RELEASE] [AFTER seconds] [CODE code] [ERROR words]`. */
export function parseNack(words: readonly string[]): NackWish {
  const outcome = { kind: common.OutcomeKind.RETRY, retryAfterMs: 0, errorCode: '', error: '' };
  const wish: NackWish = { receipts: [], outcome };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const name = word.toUpperCase();
    if (Object.hasOwn(KINDS, name)) outcome.kind = KINDS[name] as common.OutcomeKind;
    else if (Object.hasOwn(OPTIONS, name)) OPTIONS[name]?.(wish, required(name, words[++i]));
    else wish.receipts.push(word);
  }
  if (wish.receipts.length === 0) throw new BusError('INVALID', 'NACK needs a receipt of GETJOB');
  return wish;
}

function required(name: string, value: string | undefined): string {
  if (value === undefined) throw new BusError('INVALID', `NACK ${name} needs a value`);
  return value;
}
