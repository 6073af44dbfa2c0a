import { keeper, storage } from '@malabar/contracts';
import type { Dice } from './dice.suite.js';

export const QUEUES = ['a', 'b'] as const;
export const TOPICS = ['x', 'y', 'z'] as const;
/** Where dispatchers stand; at the last one not always. */
export const NODES = ['n1', 'n2', 'n3'] as const;

const { EXPONENTIAL, FIXED, LADDER } = keeper.Backoff;
const { NOW, BEGINNING } = keeper.TopicStart;

const ENDS = [
  keeper.ResultStatus.DONE,
  keeper.ResultStatus.RETRYING,
  keeper.ResultStatus.FAILED,
  keeper.ResultStatus.DEAD,
  keeper.ResultStatus.DISCARDED,
];
/** Mostly none. */
const RATES = [
  ...[undefined, undefined, undefined, undefined],
  { limit: 2, perMs: 1_000, burst: 1 },
  { limit: 7, perMs: 100, burst: 3 },
];
const KEYS = [
  ...[undefined, undefined],
  { concurrency: 1, from: '', strict: false },
  { concurrency: 1, from: '', strict: true },
  { concurrency: 2, from: '', strict: false },
];
/** The queue that is told what became of the deliveries of the others. */
const TOLD = 'b';

/** Any configuration of a small world; queue `a` is always there. */
export function anyConfig(dice: Dice): keeper.BusConfig {
  const queues = QUEUES.filter((name) => name === 'a' || dice.chance(0.5));
  return {
    release: 0,
    queues: queues.map((name) => anyQueue(dice, name)),
    schedules: [],
    sources: [],
  };
}

function anyQueue(dice: Dice, name: string): keeper.QueueConfig {
  const topics = TOPICS.filter(() => dice.chance(0.7));
  return keeper.QueueConfig.fromPartial({
    name,
    retentionMs: dice.pick([0, 0, 300, 60_000, 7 * 86_400_000]),
    waitingMax: dice.pick([0, 0, 0, 0, 4]),
    topics: topics.map((topic) => anyTopic(dice, name, topic)),
  });
}

function anyTopic(dice: Dice, queue: string, name: string): keeper.TopicConfig {
  return keeper.TopicConfig.fromPartial({
    name,
    timeoutMs: dice.pick([1_000, 1_000, 20_000]),
    delayMs: dice.pick([0, 0, 0, 400, 5_000]),
    concurrency: dice.between(1, 8),
    start: dice.pick([NOW, BEGINNING]),
    paused: dice.chance(0.1),
    chunk: 1,
    rate: dice.pick(RATES),
    key: dice.pick(KEYS),
    result: queue === TOLD || dice.chance(0.5) ? undefined : anyResult(dice),
    retry: {
      attempts: dice.between(1, 4),
      backoff: dice.pick([EXPONENTIAL, FIXED, LADDER]),
      minMs: dice.pick([1, 100, 3_000]),
      maxMs: 10_000,
      jitter: dice.pick([0, 0.2]),
      ageMaxMs: dice.pick([0, 0, 30_000]),
      crashesMax: dice.between(1, 3),
      replaysMax: dice.between(1, 2),
      ladderMs: [50, 2_000],
    },
  });
}

function anyResult(dice: Dice): keeper.ResultPolicy {
  return { queue: TOLD, of: ENDS.filter(() => dice.chance(0.8)) };
}

/** Every queue and topic, nothing paused, nothing limited: under it all that waits must drain. */
export function wholeConfig(): keeper.BusConfig {
  const topic = (queue: string, name: string): keeper.TopicConfig =>
    keeper.TopicConfig.fromPartial({
      name,
      timeoutMs: 60_000,
      concurrency: 100,
      rate: name === 'y' ? { limit: 50, perMs: 1_000, burst: 20 } : undefined,
      key: name === 'z' ? undefined : { concurrency: 1, from: '', strict: name === 'x' },
      chunk: 1,
      start: NOW,
      result: queue === TOLD ? undefined : { queue: TOLD, of: ENDS },
      retry: { attempts: 3, backoff: FIXED, minMs: 100, maxMs: 100, crashesMax: 3, replaysMax: 5 },
    });
  const queues = QUEUES.map((name) => {
    const topics = TOPICS.map((one) => topic(name, one));
    return keeper.QueueConfig.fromPartial({ name, retentionMs: 86_400_000, topics });
  });
  return { release: 0, queues, schedules: [], sources: [] };
}

/** The options of one job, perhaps none. */
export function anyOptions(dice: Dice, index: number, now: number): storage.JobOptions | undefined {
  if (dice.chance(0.55)) return undefined;
  const set = (probability: number): boolean => dice.chance(probability);
  const node = set(0.2) ? dice.pick(NODES) : '';
  const idempotencyKey = set(0.35) ? dice.pick(['k1', 'k2', 'ключ']) : '';
  const debounceMs = idempotencyKey !== '' && set(0.5) ? dice.pick([1, 300, 20_000]) : 0;
  return storage.JobOptions.fromPartial({
    index,
    deliverAtMs: set(0.35) ? now + dice.pick([-50, 1, 200, 2_000, 60_000]) : 0,
    expiresAtMs: set(0.15) ? now + dice.pick([1, 300, 20_000]) : 0,
    priority: set(0.3) ? dice.pick([1, 5, 9, 12]) : 0,
    idempotencyKey,
    debounceMs,
    debounceMaxMs: debounceMs > 0 ? dice.pick([0, 0, 200, 5_000]) : 0,
    idempotencyWindowMs: dice.pick([0, 500, 30_000]),
    maxWaiting: set(0.1) ? dice.between(1, 5) : 0,
    keys: set(0.6) ? [{ from: '', key: dice.pick(['u1', 'u2', 'u3', 'u4', 'u5', 'ключ']) }] : [],
    leaseMs: set(0.1) ? dice.pick([700, 40_000]) : 0,
    node,
    nodeWaitMs: node === '' ? 0 : dice.pick(node === 'n3' ? [1, 20_000] : [0, 1, 600, 20_000]),
  });
}
