export { atTimetable, parseInstant } from './at.js';
export { type CronOptions, cronTimetable, type Gap, type Overlap } from './cron.js';
export { everyTimetable } from './every.js';
export { circles, type Family, familyTree } from './family.js';
export {
  familyFaults,
  faultsOf,
  nextFires,
  type ScheduleFault,
  scheduleFaults,
} from './faults.js';
export { jitterOf } from './jitter.js';
export { MISFIRES_MAX, PARENTS_MAX, RUNS_MAX } from './limits.js';
export {
  createSchedule,
  dueAt,
  type FollowSpec,
  type MisfirePolicy,
  nominalAfter,
  type OverlapPolicy,
  type Schedule,
  type ScheduleSpec,
} from './schedule.js';
export { type Timetable, upcoming } from './timetable.js';
export { type Stretch, type Zone, zoneOf } from './zone.js';
