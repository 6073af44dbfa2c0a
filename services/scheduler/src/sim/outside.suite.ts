import { baseOf, type JournalLine } from '../core/journal.js';
import type { FinalStatus, Outgoing } from '../core/record.js';
import type { Dice } from './dice.suite.js';
import type { Plan } from './plans.suite.js';

/** Something in a simulation was not as it must be. */
export class Wrong extends Error {}

/** Lines of the journal after which the old ones go. */
const FORGET_EVERY = 1_000;

/** What the queue has of one idempotency key. */
interface Job {
  id: string;
  key: string;
  schedule: string;
  runId: string;
  kind: 'fire' | 'skipped';
  /** Which life of a leader pushed it last. */
  life: number;
  endsAtMs: number;
  ended: boolean;
}

/** The outcome of a run, until the leader has acknowledged it. */
export interface Result {
  schedule: string;
  runId: string;
  status: FinalStatus;
  endedAtMs: number;
  output: string;
}

/** All that outlives leaders: the journal, the queues and the runs. */
export class Outside {
  /** What is kept of the journal. */
  journal: JournalLine[] = [];
  readonly jobs = new Map<string, Job>();
  readonly results: Result[] = [];
  readonly tally = new Map<string, number>();
  #journalEnd = 0;
  readonly #running: Job[] = [];
  readonly #byRun = new Map<string, Job>();

  constructor(
    private readonly dice: Dice,
    private readonly plans: ReadonlyMap<string, Plan>,
  ) {}

  saw(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  append(text: string): number {
    const position = this.#journalEnd++;
    this.journal.push({ position, text });
    if (position % FORGET_EVERY === 0) this.#forgetJournal();
    return position;
  }

  /** The lines from where the newest entry says that reading suffices. */
  readJournal(): JournalLine[] {
    const newest = this.journal.findLast(({ text }) => baseOf(text) !== undefined);
    const base = newest === undefined ? 0 : (baseOf(newest.text) ?? 0);
    return this.journal.filter(({ position }) => position >= base);
  }

  #forgetJournal(): void {
    this.journal = this.readJournal();
  }

  /** Pushes a job: accepted, or dropped because its key is taken. Refused: the reason. */
  push(out: Outgoing & { kind: 'fire' | 'skipped' }, life: number, nowMs: number): string {
    const known = this.jobs.get(out.idempotencyKey);
    if (known !== undefined) return this.#pushAgain(known, out, life);
    const runId = out.kind === 'fire' ? out.runId : '';
    const { idempotencyKey: key, schedule, kind } = out;
    const endsAtMs = kind === 'fire' ? nowMs + this.#duration(schedule) : Infinity;
    const job: Job = { id: `job ${key}`, key, schedule, runId, kind, life, endsAtMs, ended: false };
    this.jobs.set(key, job);
    if (kind === 'fire') this.#run(job);
    this.saw(kind === 'fire' ? `fires: ${out.reason}` : `skipped: ${out.reason}`);
    return job.id;
  }

  #pushAgain(known: Job, out: Outgoing, life: number): string {
    if (known.kind !== out.kind)
      throw new Wrong(`${known.key} is a ${known.kind} and a ${out.kind}`);
    if (known.life === life) throw new Wrong(`${known.key} is pushed twice in one life`);
    known.life = life;
    this.saw('duplicates dropped');
    return known.id;
  }

  #duration(schedule: string): number {
    const { periodMs } = this.plans.get(schedule) as Plan;
    const { dice } = this;
    return Math.round(periodMs * (dice.chance(0.8) ? 0.1 : 2.5) * (dice.between(1, 100) / 100)) + 1;
  }

  #run(job: Job): void {
    if (!(this.plans.get(job.schedule) as Plan).spec.tracked) return;
    this.#byRun.set(job.runId, job);
    const later = this.#running.findIndex(({ endsAtMs }) => endsAtMs < job.endsAtMs);
    this.#running.splice(later < 0 ? this.#running.length : later, 0, job);
  }

  /** Ends a run that another one takes the place of. */
  kill(runId: string, nowMs: number): void {
    const job = this.#byRun.get(runId);
    if (job === undefined || job.ended) return;
    this.#running.splice(this.#running.indexOf(job), 1);
    this.#end(job, 'discarded', nowMs);
    this.saw('runs replaced');
  }

  get nextEndMs(): number {
    return this.#running.at(-1)?.endsAtMs ?? Infinity;
  }

  endRuns(nowMs: number): void {
    while (this.nextEndMs <= nowMs) {
      const job = this.#running.pop() as Job;
      const status = this.dice.chance(0.8)
        ? 'done'
        : this.dice.pick(['failed', 'dead', 'discarded']);
      this.#end(job, status as FinalStatus, job.endsAtMs);
    }
  }

  #end(job: Job, status: FinalStatus, endedAtMs: number): void {
    job.ended = true;
    this.#byRun.delete(job.runId);
    const { schedule, runId } = job;
    this.results.push({ schedule, runId, status, endedAtMs, output: `the output of ${runId}` });
  }
}
