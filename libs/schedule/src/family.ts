import type { ScheduleSpec } from './schedule.js';

/** A schedule with those that follow it. One with several parents is below each of them. */
export interface Family {
  schedule: string;
  children: Family[];
}

/** What follows what, from those that follow nobody. Families must have no circle. */
export function familyTree(schedules: readonly ScheduleSpec[]): Family[] {
  const followers = new Map<string, string[]>();
  for (const { name, after } of schedules)
    for (const parent of new Set(after?.schedules))
      followers.set(parent, [...(followers.get(parent) ?? []), name]);
  const grow = (schedule: string): Family => ({
    schedule,
    children: (followers.get(schedule) ?? []).map(grow),
  });
  return schedules.filter(({ after }) => after === undefined).map(({ name }) => grow(name));
}

/** Schedules that wait for each other, each circle once: `['a', 'b', 'a']`. */
export function circles(schedules: readonly ScheduleSpec[]): string[][] {
  const parents = new Map(schedules.map(({ name, after }) => [name, after?.schedules ?? []]));
  const found: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): void => {
    const at = path.indexOf(name);
    if (at >= 0) found.push([...path.slice(at), name]);
    if (at >= 0 || done.has(name)) return;
    path.push(name);
    for (const parent of parents.get(name) ?? []) visit(parent);
    path.pop();
    done.add(name);
  };
  for (const name of parents.keys()) visit(name);
  return found;
}
