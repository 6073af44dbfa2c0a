import { circles } from '@malabar/schedule';
import type { PlannedJob } from './convert.js';
import type { ReadJob } from './job.js';

/** Why jobs are refused because of others. */
export interface FamilyFault {
  name: string;
  faults: string[];
}

/** Parents that there are not, circles, and refused parents down to the last child. */
export function familyFaults(
  planned: readonly PlannedJob[],
  all: readonly ReadJob[],
): FamilyFault[] {
  const parents = new Map(planned.map(({ name, job }) => [name, job?.dependent_jobs ?? []]));
  const known = new Set(all.map(({ name }) => name));
  const specs = [...parents].map(([name, schedules]) => {
    return { name, tracked: true, after: { schedules } };
  });
  const found = circles(specs);
  const faults = new Map(
    planned.map(({ name }) => {
      const circle = found.find((names) => names.includes(name));
      const waits = circle && `waits for itself, so it never ran: ${circle.join(' after ')}`;
      const missing = [...new Set(parents.get(name))].filter((parent) => !known.has(parent));
      const lines = missing.map((parent) => `its parent '${parent}' is no job of peppercron`);
      return [name, waits === undefined ? lines : [...lines, waits]];
    }),
  );
  const refused = new Set(
    planned
      .filter(({ name, refusals }) => refusals.length > 0 || faults.get(name)?.length)
      .map(({ name }) => name),
  );
  for (let before = -1; before < refused.size; ) {
    before = refused.size;
    for (const [name, names] of parents) {
      const lost = [...new Set(names)].filter((parent) => parent !== name && refused.has(parent));
      if (lost.length === 0 || faults.get(name)?.length) continue;
      faults.set(
        name,
        lost.map((parent) => `its parent '${parent}' is refused`),
      );
      refused.add(name);
    }
  }
  return [...faults].map(([name, faults]) => ({ name, faults }));
}
