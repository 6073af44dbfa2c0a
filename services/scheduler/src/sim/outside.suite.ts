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
  /** Of a run on many nodes. */
  part?: Part;
  kind: 'fire' | 'skipped';
  /** Which life of a leader pushed it last. */
  life: number;
  endsAtMs: number;
  ended: boolean;
  /** Its node has gone. */
  gone?: boolean;
}

/** Which part of a run a job is. */
interface Part {
  node: string;
  index: number;
  total: number;
}

/** How long jobs wait for a node that has gone. */
const NODE_WAIT_MS = 60_000;

/** The outcome of a run, or of a part of one, until the leader has acknowledged it. */
export interface Result {
  schedule: string;
  runId: string;
  node?: string;
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
  /** What each node carries that is there. */
  readonly nodes = new Map<string, readonly string[]>();

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

  /** The nodes that are there for a schedule. */
  nodesFor(schedule: string): string[] {
    const { tag } = this.plans.get(schedule) as Plan;
    return [...this.nodes].flatMap(([node, tags]) => (tags.includes(tag) ? [node] : [])).sort();
  }

  /** Pushes the jobs of a decision; what became of each. */
  push(out: Outgoing & { kind: 'fire' | 'skipped' }, life: number, nowMs: number) {
    const { idempotencyKey: key } = out;
    const nodes = out.kind === 'fire' ? out.nodes : undefined;
    if (nodes === undefined) return { job: this.#pushOne(out, { key, life, nowMs }).id };
    const parts = nodes.map((node, index) => {
      const part = { node, index, total: nodes.length };
      return { node, job: this.#pushOne(out, { key: `${key}#${node}`, part, life, nowMs }).id };
    });
    return { parts };
  }

  /** A job is accepted, or dropped because its key is taken. */
  #pushOne(
    out: Outgoing & { kind: 'fire' | 'skipped' },
    { key, part, life, nowMs }: Pick<Job, 'key' | 'part' | 'life'> & { nowMs: number },
  ): Job {
    const known = this.jobs.get(key);
    if (known !== undefined) return this.#pushAgain(known, out, part, life);
    const runId = out.kind === 'fire' ? out.runId : '';
    const { schedule, kind } = out;
    const endsAtMs = kind === 'fire' ? nowMs + this.#duration(schedule) : Infinity;
    const ended = false;
    const job: Job = { id: `job ${key}`, key, schedule, runId, part, kind, life, endsAtMs, ended };
    this.jobs.set(key, job);
    if (kind === 'fire') this.#run(job);
    this.saw(kind === 'fire' ? `fires: ${out.reason}` : `skipped: ${out.reason}`);
    if (part !== undefined) this.saw('parts of runs on many nodes');
    return job;
  }

  #pushAgain(known: Job, out: Outgoing, part: Part | undefined, life: number): Job {
    if (known.kind !== out.kind)
      throw new Wrong(`${known.key} is a ${known.kind} and a ${out.kind}`);
    if (JSON.stringify(known.part) !== JSON.stringify(part))
      throw new Wrong(`${known.key} is another part: ${JSON.stringify([known.part, part])}`);
    if (known.life === life) throw new Wrong(`${known.key} is pushed twice in one life`);
    known.life = life;
    this.saw('duplicates dropped');
    if (part !== undefined) this.saw('parts pushed again by the next leader');
    return known;
  }

  /** A node goes: what it runs or has not begun waits for it, for a while. */
  nodeGoes(node: string, nowMs: number): void {
    this.nodes.delete(node);
    this.saw('nodes that go');
    for (const job of this.#running.filter(({ part }) => part?.node === node)) {
      if (this.dice.chance(0.5)) continue;
      this.#running.splice(this.#running.indexOf(job), 1);
      job.endsAtMs = nowMs + NODE_WAIT_MS;
      job.gone = true;
      this.#run(job);
    }
  }

  #duration(schedule: string): number {
    const { periodMs } = this.plans.get(schedule) as Plan;
    const { dice } = this;
    return Math.round(periodMs * (dice.chance(0.8) ? 0.1 : 2.5) * (dice.between(1, 100) / 100)) + 1;
  }

  #run(job: Job): void {
    if (!(this.plans.get(job.schedule) as Plan).spec.tracked) return;
    const later = this.#running.findIndex(({ endsAtMs }) => endsAtMs < job.endsAtMs);
    this.#running.splice(later < 0 ? this.#running.length : later, 0, job);
  }

  /** Ends jobs of a run that another one takes the place of. */
  kill(jobs: readonly string[], nowMs: number): void {
    for (const job of this.#running.filter(({ id }) => jobs.includes(id))) {
      this.#running.splice(this.#running.indexOf(job), 1);
      this.#end(job, 'discarded', nowMs);
      this.saw('runs replaced');
    }
  }

  get nextEndMs(): number {
    return this.#running.at(-1)?.endsAtMs ?? Infinity;
  }

  endRuns(nowMs: number): void {
    while (this.nextEndMs <= nowMs) {
      const job = this.#running.pop() as Job;
      const bad = job.gone ? 'discarded' : this.dice.pick(['failed', 'dead', 'discarded']);
      const status = !job.gone && this.dice.chance(0.8) ? 'done' : bad;
      this.#end(job, status as FinalStatus, job.endsAtMs);
    }
  }

  #end(job: Job, status: FinalStatus, endedAtMs: number): void {
    job.ended = true;
    const { schedule, runId, part } = job;
    const output = `the output of ${runId}${part === undefined ? '' : ` at ${part.node}`}`;
    this.results.push({ schedule, runId, node: part?.node, status, endedAtMs, output });
  }
}
