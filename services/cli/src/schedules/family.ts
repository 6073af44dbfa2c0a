import type { scheduler } from '@malabar/contracts';

/** A family as a tree of lines; one with several parents stands below each of them. */
export function familyLines(family: readonly scheduler.FamilyMember[]): string[] {
  const below = (parent: string): string[] =>
    family.filter(({ after }) => after.includes(parent)).map(({ schedule }) => schedule);
  const draw = (schedule: string, head: string, rest: string): string[] => {
    const children = below(schedule);
    const lines = children.flatMap((child, at) => {
      const isLast = at === children.length - 1;
      return draw(child, `${rest}${isLast ? '└─ ' : '├─ '}`, `${rest}${isLast ? '   ' : '│  '}`);
    });
    return [head + schedule, ...lines];
  };
  const roots = family.filter(({ after }) => after.length === 0);
  return roots.flatMap(({ schedule }) => draw(schedule, '', ''));
}
