import { type Documents, readScheduleDocument } from '@malabar/config';
import { createSchedule, nextFires, type Zone, zoneOf } from '@malabar/schedule';

const FIRES = 5;
const MINUTE_MS = 60_000;

/** The next fires of a schedule, as its zone's clocks show them. */
export interface UpcomingFires {
  name: string;
  times: string[];
  /** Why there are not five; empty if there are. */
  note: string;
}

/** When each schedule of a file would fire. */
export function upcomingFires(schedules: Documents['schedules'], nowMs: number): UpcomingFires[] {
  return Object.entries(schedules).map(([name, document]) => {
    const schedule = createSchedule(readScheduleDocument(name, document));
    const zone = zoneOf(document.zone);
    const times = nextFires(schedule, nowMs, FIRES).map(({ dueMs }) => clockText(dueMs, zone));
    const { paused, follows } = schedule;
    if (paused !== undefined) return { name, times, note: `but it is paused: ${paused}` };
    if (follows !== undefined)
      return { name, times, note: `after ${follows.schedules.join(', ')}` };
    return { name, times, note: times.length === 0 ? 'nothing is due any more' : '' };
  });
}

/** What clocks in a zone show, with the offset, so that nobody takes it for a time of another zone. */
export function clockText(unixMs: number, zone: Zone): string {
  const { offsetMs } = zone.stretchAt(unixMs);
  const local = new Date(unixMs + offsetMs).toISOString().replace(/(\.000)?Z$/, '');
  const minutes = Math.round(Math.abs(offsetMs) / MINUTE_MS);
  const two = (value: number): string => String(value).padStart(2, '0');
  const offset = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  return offsetMs === 0 ? `${local}Z` : `${local}${offsetMs < 0 ? '-' : '+'}${offset}`;
}
