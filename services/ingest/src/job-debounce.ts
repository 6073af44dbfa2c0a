import { BusError } from '@malabar/core';

/** The longest that a job may be put off for company. */
const DEBOUNCE_MS_MAX = 30 * 86_400_000;

/** What a producer says of a job that may be replaced by the next of its key. */
export interface JobDebounce {
  idempotencyKey?: string;
  debounceMs?: number;
  debounceMaxMs?: number;
  deliverAtMs?: number;
}

/** What is wrong with the debounce that a producer asks for; undefined if nothing is. */
export function debounceFault({
  idempotencyKey = '',
  debounceMs = 0,
  debounceMaxMs = 0,
  deliverAtMs = 0,
}: JobDebounce): BusError | undefined {
  if (debounceMs === 0 && debounceMaxMs === 0) return undefined;
  if (debounceMs < 0 || debounceMaxMs < 0) return invalid('a debounce is not negative');
  if (debounceMs === 0) return invalid('a longest wait means nothing without a debounce');
  if (idempotencyKey === '')
    return invalid(
      'a debounce needs an idempotency key: jobs with the same one make room for each other',
    );
  if (deliverAtMs > 0) return invalid('a debounce is a delay itself: leave out the other');
  if (Math.max(debounceMs, debounceMaxMs) > DEBOUNCE_MS_MAX)
    return invalid('a debounce and its longest wait last 30 days at most');
  if (debounceMaxMs > 0 && debounceMaxMs < debounceMs)
    return invalid(
      `a longest wait of ${debounceMaxMs} ms is shorter than the debounce of ${debounceMs} ms`,
    );
  return undefined;
}

const invalid = (text: string): BusError => new BusError('INVALID', text);
