import type { keeper } from '@malabar/contracts';
import { dueOf, type ModelDelivery, type ModelTopic, type StoreView } from './words.suite.js';

/** Turns of one key that another may have to watch while nothing is being read. */
const TURNS_MAX = 2;
const EPSILON = 1e-3;

interface Flow {
  rate: keeper.Rate | undefined;
  /** When deliveries were handed out since that rate counts. */
  grantedAtMs: number[];
  /** What a key that could have had its turn has watched: turns of others, by their key. */
  watched: Map<string, Map<string, number>>;
}

/** What rates and keys promise, said in the simplest way: by looking at every delivery of the topic. */
export class FlowRules {
  readonly #flows = new Map<ModelTopic, Flow>();

  constructor(
    private readonly view: StoreView,
    private readonly tell: { fail(message: string): void; saw(what: string): void },
  ) {}

  /** A delivery is about to be leased. */
  granting(delivery: ModelDelivery): void {
    const { topic, key } = delivery;
    this.#checkRate(topic);
    if (key === '') return;
    this.tell.saw('jobs with a key leased');
    this.#checkKey(delivery);
    this.#checkTurns(delivery);
  }

  /** The process died: nobody remembers what it has handed out in its last moments. */
  crash(): void {
    this.#flows.clear();
  }

  /** Whether the line of the key waits for this delivery once it has failed. */
  holds(delivery: ModelDelivery): boolean {
    const { topic, key } = delivery;
    if (key === '' || topic.config.key?.strict !== true) return false;
    // Held twice, under an older policy, it is released with the first.
    const others = sameKey(delivery).filter((one) => one.lease || one.kept.holds);
    for (const one of others) one.kept = { ...one.kept, holds: false };
    return others.length === 0;
  }

  #flowOf(topic: ModelTopic): Flow {
    const known = this.#flows.get(topic);
    const { rate } = topic.config;
    if (known !== undefined && JSON.stringify(known.rate) === JSON.stringify(rate)) return known;
    const flow = { rate, grantedAtMs: [], watched: new Map() };
    this.#flows.set(topic, flow);
    return flow;
  }

  #checkRate(topic: ModelTopic): void {
    const { rate, grantedAtMs } = this.#flowOf(topic);
    if (rate === undefined) return;
    const now = this.view.now();
    grantedAtMs.push(now);
    this.tell.saw('jobs leased at a rate');
    grantedAtMs.forEach((from, i) => {
      const count = grantedAtMs.length - i;
      const most = rate.burst + (rate.limit * (now - from)) / rate.perMs;
      if (count > most + EPSILON)
        this.tell.fail(`${topic.name} gives ${count} in ${now - from} ms, at most ${most}`);
    });
  }

  #checkKey(delivery: ModelDelivery): void {
    const { topic, job, key } = delivery;
    const policy = topic.config.key;
    const others = sameKey(delivery);
    const leased = others.filter(({ lease }) => lease !== undefined).length;
    const where = `job ${job.seq} of ${topic.name} with key ${key}`;
    if (policy !== undefined && leased >= policy.concurrency)
      this.tell.fail(`${where} is leased beside ${leased}`);
    if (leased > 0) this.tell.saw('jobs of one key leased beside each other');
    const before = others.find((one) => this.#waitsInLine(one) && isBefore(one, delivery));
    if (before) this.tell.fail(`${where} is leased before job ${before.job.seq}`);
    const held = others.find(({ kept }) => kept.state === 'waiting' && kept.holds);
    if (held === undefined || !policy?.strict) return;
    if (dueOf(held) > this.view.now())
      this.tell.fail(`${where} is leased while job ${held.job.seq} is to be tried again`);
  }

  /** It was never put off, so it has stood in its line from the beginning. */
  #waitsInLine({ job, kept, lease }: ModelDelivery): boolean {
    const expiresAtMs = job.options?.expiresAtMs || Number.POSITIVE_INFINITY;
    const isThere = kept.state === 'waiting' && lease === undefined && kept.attempts === 0;
    return isThere && kept.dueAtMs <= job.acceptedAtMs && expiresAtMs > this.view.now();
  }

  #checkTurns(delivery: ModelDelivery): void {
    const { topic, key, job } = delivery;
    const { watched } = this.#flowOf(topic);
    watched.delete(key);
    const policy = topic.config.key;
    if (policy === undefined || this.view.isReading()) {
      watched.clear();
      return;
    }
    for (const [other, waiting] of this.#free(delivery, policy)) {
      const turns = watched.get(other) ?? new Map<string, number>();
      watched.set(other, turns);
      turns.set(key, (turns.get(key) ?? 0) + 1);
      this.tell.saw('keys waited for the turns of others');
      if ((turns.get(key) ?? 0) > TURNS_MAX)
        this.tell.fail(`key ${key} has its turn (job ${job.seq}), and never ${other} (${waiting})`);
    }
  }

  /** Other keys that could have had this turn, with a job of each. */
  #free({ topic, key, job }: ModelDelivery, policy: keeper.KeyPolicy): Map<string, number> {
    const free = new Map<string, number>();
    const blocked = new Set([key]);
    const leases = new Map<string, number>();
    for (const one of deliveriesOf(job.queue.jobs, topic)) {
      const count = (leases.get(one.key) ?? 0) + (one.lease ? 1 : 0);
      leases.set(one.key, count);
      if (count >= policy.concurrency || one.kept.holds) blocked.add(one.key);
      if (one.key !== '' && this.#waitsInLine(one)) free.set(one.key, one.job.seq);
    }
    for (const one of blocked) free.delete(one);
    return free;
  }
}

function deliveriesOf(jobs: readonly ModelDelivery['job'][], topic: ModelTopic): ModelDelivery[] {
  return jobs.flatMap(({ deliveries }) => deliveries.get(topic.name) ?? []);
}

function sameKey(delivery: ModelDelivery): ModelDelivery[] {
  const { topic, key, job } = delivery;
  return deliveriesOf(job.queue.jobs, topic).filter((one) => one !== delivery && one.key === key);
}

function isBefore(one: ModelDelivery, other: ModelDelivery): boolean {
  const higher = priorityOf(one) - priorityOf(other);
  return higher > 0 || (higher === 0 && one.job.seq < other.job.seq);
}

const priorityOf = ({ job }: ModelDelivery): number => Math.min(job.options?.priority ?? 0, 9);
