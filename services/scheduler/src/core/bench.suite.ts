import { createSchedule, type ScheduleSpec } from '@malabar/schedule';
import { foldJournal, type JournalLine } from './journal.js';
import { type Effect, type Input, Planner } from './planner.js';

export const NOW = Date.parse('2026-07-01T00:00:00Z');
export const MINUTE_MS = 60_000;

type Asked = Input extends infer One ? (One extends Input ? Omit<One, 'nowMs'> : never) : never;

/** A leader whose effects all succeed; the journal outlives it. */
export class Bench {
  nowMs = NOW;
  readonly lines: JournalLine[] = [];
  planner = new Planner({ token: 1 });
  wakeAtMs = 0;
  #token = 1;

  constructor(private specs: ScheduleSpec[]) {
    this.#begin();
  }

  #begin(): void {
    this.step({ kind: 'loaded', journal: foldJournal(this.lines) });
    this.configure(...this.specs);
  }

  /** Another leader begins. Returns what it does first. */
  takeOver(): string[] {
    this.planner = new Planner({ token: ++this.#token });
    this.step({ kind: 'loaded', journal: foldJournal(this.lines) });
    return this.configure(...this.specs);
  }

  configure(...specs: ScheduleSpec[]): string[] {
    this.specs = specs;
    return this.ask({ kind: 'configured', schedules: specs.map(createSchedule) });
  }

  step(input: Asked): Effect[] {
    const effects = this.planner.step({ ...input, nowMs: this.nowMs } as Input);
    for (const effect of effects) {
      if (effect.kind === 'journal')
        this.lines.push({ position: this.lines.length, text: effect.text });
      if (effect.kind === 'wakeAt') this.wakeAtMs = effect.atMs;
    }
    return effects;
  }

  /** The step in short: `fire one 00:01`. */
  ask(input: Asked): string[] {
    return this.step(input).flatMap((effect) => {
      if (effect.kind === 'journal' || effect.kind === 'wakeAt') return [];
      if (effect.kind === 'replace') return [`replace ${effect.schedule}`];
      if (effect.kind === 'fire' || effect.kind === 'place') {
        const { kind, schedule, nominalMs, nodes } = effect;
        return [[kind, schedule, clock(nominalMs), ...(nodes ?? [])].join(' ')];
      }
      if (effect.kind === 'stop') return [effect.reason];
      if (effect.kind === 'paused') return [`${effect.schedule} pauses: ${effect.reason}`];
      const { schedule, count, reason, nominalMs, untilMs } = effect;
      return [`skip ${count} ${schedule} ${clock(nominalMs)}-${clock(untilMs)} ${reason}`];
    });
  }

  tickAt(minute: number): string[] {
    this.nowMs = NOW + minute * MINUTE_MS;
    return this.ask({ kind: 'tick' });
  }

  end(schedule: string, status: 'done' | 'failed' = 'done', output = ''): string[] {
    const [run] = this.planner.lives.get(schedule)?.record.runs ?? [];
    const runId = run?.runId ?? '';
    return this.ask({ kind: 'runEnded', schedule, runId, status, endedAtMs: this.nowMs, output });
  }
}

export const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

export const spec = (rest: Partial<ScheduleSpec> = {}, name = 'one'): ScheduleSpec => ({
  name,
  tracked: true,
  ...(rest.after ? {} : { everyMs: MINUTE_MS }),
  ...rest,
});
