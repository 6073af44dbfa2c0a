import { Cron, type CronMode } from 'croner';
import type { Timetable } from './timetable.js';
import type { Stretch, Zone } from './zone.js';

/** What happens to times that clocks skip when they are put forward. */
export type Gap = 'late' | 'skip';
/** What happens to times that clocks show twice when they are put back. */
export type Overlap = 'once' | 'twice';

export interface CronOptions {
  /** `minute hour day month weekday`, or six fields with the second first. */
  expression: string;
  /** 5 or 6 where the writer said so; the expression must have as many. */
  fields?: 5 | 6;
  zone: Zone;
  /** `late` (default): once, at the first instant that exists; `skip`: not at all. */
  gap?: Gap;
  /** Default: `once` where the hours are named, `twice` where every hour or each nth is due. */
  overlap?: Overlap;
}

// Nothing due in this time is never due: the rarest is 29 February on a weekday, every 40 years.
const NEVER_MS = 45 * 366 * 86_400_000;

/**
 * A cron expression. Five fields are a crontab's, six begin with the second; the number decides and
 * nothing is guessed. `L`, `W`, `#`, names and `@daily` and its kin are as croner has them. An
 * expression that asks for certain hours means clock times: one that a change of the clocks skips is
 * late, not lost, and one that comes twice is due once (as cron(8) of OpenBSD and Debian do). One
 * that asks for every hour, or each nth, means an interval and follows real time.
 *
 * Throws a TypeError that says what is wrong.
 */
export function cronTimetable({ expression, fields, zone, gap, overlap }: CronOptions): Timetable {
  const pattern = patternOf(expression, fields);
  const interval = followsRealTime(expression);
  return new CronTimetable(pattern, zone, {
    gap: gap ?? (interval ? 'skip' : 'late'),
    overlap: overlap ?? (interval ? 'twice' : 'once'),
  });
}

class CronTimetable implements Timetable {
  constructor(
    private readonly pattern: Cron,
    private readonly zone: Zone,
    private readonly policy: { gap: Gap; overlap: Overlap },
  ) {}

  next(unixMs: number): number | undefined {
    let after = unixMs;
    while (after < unixMs + NEVER_MS) {
      const stretch = this.zone.stretchAt(after);
      const shown = this.#shownAfter(after + stretch.offsetMs);
      const at = shown === undefined ? undefined : shown - stretch.offsetMs;
      if (at !== undefined && at < stretch.endMs) {
        const repeatedUntil = this.#repeatedUntil(stretch);
        if (at >= repeatedUntil) return at;
        after = repeatedUntil - 1;
        continue;
      }
      const late = this.#lateAt(stretch.endMs, shown);
      if (late !== undefined) return late;
      if (shown === undefined) return undefined;
      if (this.#isDueAt(stretch.endMs)) return stretch.endMs;
      after = stretch.endMs;
    }
    return undefined;
  }

  /** The pattern's next time as clocks show it, as if they never changed. */
  #shownAfter(shownMs: number): number | undefined {
    return this.pattern.nextRun(new Date(shownMs))?.getTime();
  }

  /** Up to when clocks show what they have shown before and what must not be due again. */
  #repeatedUntil({ startMs, offsetMs, offsetBeforeMs }: Stretch): number {
    const repeatedMs = Math.max(0, offsetBeforeMs - offsetMs);
    return this.policy.overlap === 'once' ? startMs + repeatedMs : startMs;
  }

  /** The change at `changeMs`, if it skips the time `shown` that was due. */
  #lateAt(changeMs: number, shown: number | undefined): number | undefined {
    if (shown === undefined || this.policy.gap === 'skip') return undefined;
    const { offsetMs } = this.zone.stretchAt(changeMs);
    return shown < changeMs + offsetMs ? changeMs : undefined;
  }

  /** Whether clocks show a due time at the very instant of a change. */
  #isDueAt(changeMs: number): boolean {
    const stretch = this.zone.stretchAt(changeMs);
    const shown = changeMs + stretch.offsetMs;
    return this.#shownAfter(shown - 1) === shown && this.#repeatedUntil(stretch) <= changeMs;
  }
}

const MODES: Record<number, CronMode> = { 5: '5-part', 6: '6-part' };

function patternOf(expression: string, declared: 5 | 6 | undefined): Cron {
  const parts = expression.trim().split(/\s+/);
  const named = parts.length === 1 && expression.trim().startsWith('@');
  const mode = named ? '5-part' : MODES[parts.length];
  if (mode === undefined) {
    throw new TypeError(
      `'${expression}' has ${parts.length} fields; a cron expression has 5, or 6 with the second first`,
    );
  }
  if (declared !== undefined && !named && parts.length !== declared) {
    throw new TypeError(
      `'${expression}' has ${parts.length} fields where ${declared} were declared`,
    );
  }
  try {
    return new Cron(expression.trim(), { utcOffset: 0, mode, paused: true });
  } catch (error) {
    const reason = (error as Error).message.replace(/^Cron\w+: /, '');
    throw new TypeError(`'${expression}' is not a cron expression: ${reason}`);
  }
}

/** Whether the hours are all or each nth, so that real time counts and not what clocks show. */
function followsRealTime(expression: string): boolean {
  const parts = expression.trim().split(/\s+/);
  if (parts.length === 1) return /^@hourly$/i.test(parts[0] as string);
  return (parts.at(-4) ?? '').startsWith('*');
}
