/** When something is due, for ever. Pure: the same question has the same answer on every machine. */
export interface Timetable {
  /** The first due time after `unixMs`, undefined if there is none. */
  next(unixMs: number): number | undefined;
}

/** Up to `count` due times after `unixMs`. */
export function upcoming(timetable: Timetable, unixMs: number, count: number): number[] {
  const times: number[] = [];
  let at = timetable.next(unixMs);
  while (at !== undefined && times.length < count) {
    times.push(at);
    at = timetable.next(at);
  }
  return times;
}
