import type { ScheduleSpec } from '@malabar/schedule';
import { faultsOf } from './faults.js';
import { type ScheduleDocument, scheduleSchema } from './schedule.js';
import { scheduleConfig, scheduleSpec } from './schedule-config.js';
import { nameFault } from './schema.js';

/** What the timetable of a valid document is made from. */
export const readScheduleDocument = (name: string, document: ScheduleDocument): ScheduleSpec =>
  scheduleSpec(scheduleConfig(name, document), true);

/** A document of one schedule as the keeper would read it. */
export interface ReadSchedule {
  /** `key: reason`, one each. */
  faults: readonly string[];
  /** Undefined if there is a fault. */
  spec?: ScheduleSpec;
}

/** Reads a schedule's document, JSON, on its own: what queues and other schedules there are does not matter. */
export function readSchedule(name: string, text: string): ReadSchedule {
  const fault = nameFault('schedule', name);
  const faults = fault === undefined ? [] : [fault];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { faults: [...faults, 'is not JSON'] };
  }
  const { data, error } = scheduleSchema.safeParse(value);
  const found = faultsOf(error?.issues ?? []).map(({ path, message }) =>
    [path.join('.'), message].filter((part) => part !== '').join(': '),
  );
  faults.push(...found);
  if (faults.length > 0) return { faults };
  return { faults, spec: readScheduleDocument(name, data as ScheduleDocument) };
}
