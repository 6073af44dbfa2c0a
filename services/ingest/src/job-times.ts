import { BusError } from '@malabar/core';

/** As with schedules, nothing is put off beyond the year 2199: who asks for that has mistaken a unit. */
const TIME_END_MS = Date.UTC(2200, 0, 1);

/** When a job is due and when it is dropped, Unix milliseconds; 0 for at once and for never. */
export interface JobTimes {
  deliverAtMs?: number;
  expiresAtMs?: number;
}

/** What is wrong with the times that a producer gives to a job; undefined if nothing is. */
export function timesFault({ deliverAtMs = 0, expiresAtMs = 0 }: JobTimes): BusError | undefined {
  return (
    timeFault('its delay', 'deliver_at_ms', deliverAtMs) ??
    timeFault('its time to live', 'expires_at_ms', expiresAtMs)
  );
}

function timeFault(what: string, field: string, atMs: number): BusError | undefined {
  if (atMs < 0) return new BusError('INVALID', `${field} ${atMs} is negative`);
  if (atMs < TIME_END_MS) return undefined;
  return new BusError('INVALID', `${what} ends beyond the year 2199`);
}
