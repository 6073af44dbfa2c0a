export { atTimetable, parseInstant } from './at.js';
export { type CronOptions, cronTimetable, type Gap, type Overlap } from './cron.js';
export { everyTimetable } from './every.js';
export { jitterOf } from './jitter.js';
export { type Timetable, upcoming } from './timetable.js';
export { type Stretch, type Zone, zoneOf } from './zone.js';
