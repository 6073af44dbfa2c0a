import { keeper } from '@malabar/contracts';

const ON: Partial<Record<keeper.RunEnding, string>> = {
  [keeper.RunEnding.SUCCESS]: 'success',
  [keeper.RunEnding.FAILURE]: 'failure',
  [keeper.RunEnding.ALWAYS]: 'any end',
};

/** When a schedule is due, for people. */
export function whenText({ when }: keeper.ScheduleConfig): string {
  switch (when?.$case) {
    case 'cron':
      return `cron ${when.value.expression} ${when.value.zone}`;
    case 'everyMs':
      return `every ${spanText(when.value)}`;
    case 'at':
      return `at ${when.value.atMs.map((ms) => new Date(ms).toISOString()).join(', ')}`;
    case 'after': {
      const { schedules, on, all } = when.value;
      return `after ${schedules.join(all ? ' and ' : ' or ')} on ${ON[on]}`;
    }
    default:
      return '';
  }
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
  [1, 'ms'],
] as const;

/** As one writes it: `90s`. */
function spanText(ms: number): string {
  const [size, unit] = UNITS.find(([size]) => ms % size === 0) ?? [1, 'ms'];
  return `${ms / size}${unit}`;
}
