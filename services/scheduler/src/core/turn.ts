import type { Schedule } from '@malabar/schedule';
import type { Outgoing, ScheduleRecord } from './record.js';

/** What one step of the planner comes to; lives add to it. */
export interface Step {
  nowMs: number;
  /** Fires that are later than this were missed. */
  misfireAfterMs: number;
  /** Schedules whose records must be in the journal before anything is sent. */
  changed: Set<string>;
  outgoing: Outgoing[];
  paused: Array<{ schedule: string; reason: string }>;
}

/** One schedule in one step: what it is, what is remembered of it, and what the step comes to. */
export interface Turn {
  readonly schedule: Schedule;
  readonly record: ScheduleRecord;
  readonly step: Step;
}

/** Something is to happen outside, once the journal knows. */
export function send({ schedule, record, step }: Turn, outgoing: Outgoing): void {
  record.outbox.push(outgoing);
  step.outgoing.push(outgoing);
  step.changed.add(schedule.name);
}

/** The record is not as the journal has it any more. */
export function remember({ schedule, step }: Turn): void {
  step.changed.add(schedule.name);
}
