import { keeper } from '@malabar/contracts';
import { CLOSED_HASH } from '@malabar/core';
import { commandConfig, retryPolicy } from './bus-config.js';
import type { ScheduleDocument } from './schedule.js';
import { runQueue, testQueue } from './schedule-config.js';

/** The leader's journal of what has been fired. */
export const JOURNAL_QUEUE = 'malabar.scheduler';
export const JOURNAL_TOPIC = 'journal';
/** How runs have ended, for the scheduler. */
export const RESULTS_QUEUE = 'malabar.runs';
export const RESULTS_TOPIC = 'scheduler';
/** The one topic of a schedule's own queue. */
export const RUN_TOPIC = 'run';

const { DONE, FAILED, DEAD, DISCARDED } = keeper.ResultStatus;
const DAY_MS = 86_400_000;
/** Of lines that nobody needs any more: there is one a second. */
const JOURNAL_RETENTION_MS = 600_000;
const JOURNAL_BYTES_MAX = 16 * 1024 * 1024;
const RUN_BYTES_MAX = 1024 * 1024;
/** Without a limit of its own a schedule runs as often at once as its fires say; on every node, there. */
const RUNS_AT_ONCE = 100;

/** The queues that exist because there are schedules. */
export function schedulerQueues(): keeper.QueueConfig[] {
  const target = { $case: 'pull' as const, value: {} };
  const pull = (name: string): keeper.TopicConfig =>
    topicOf({ name, target, concurrency: 10_000, timeoutMs: 30_000, retry: endless });
  return [
    queueOf(RESULTS_QUEUE, { retentionMs: DAY_MS, topics: [pull(RESULTS_TOPIC)] }),
    queueOf(JOURNAL_QUEUE, {
      retentionMs: JOURNAL_RETENTION_MS,
      bodyBytesMax: JOURNAL_BYTES_MAX,
      topics: [pull(JOURNAL_TOPIC)],
    }),
  ];
}

/** The queues of a schedule that runs a command: of its runs, and of test runs. */
export function queuesOfRuns(
  name: string,
  { system, run, allowMax = RUNS_AT_ONCE }: ScheduleDocument,
): keeper.QueueConfig[] {
  if (run === undefined) return [];
  const { command, timeoutMs, retentionMs, retry, waitMs, on, ...rest } = run;
  // On every node: each job names its own.
  const everywhere = waitMs !== undefined;
  const placed = { ...rest, argv: command, on: everywhere ? undefined : on };
  const target = { $case: 'command' as const, value: commandConfig(placed) };
  const both = { name: RUN_TOPIC, target, timeoutMs };
  const topic = topicOf({
    ...both,
    concurrency: allowMax,
    concurrencyEach: everywhere,
    retry: retryPolicy(retry),
    result: { queue: RESULTS_QUEUE, of: [DONE, FAILED, DEAD, DISCARDED] },
  });
  const test = topicOf({ ...both, concurrency: 1, retry: { ...retryPolicy(retry), attempts: 1 } });
  return [
    queueOf(runQueue(name), { system, retentionMs, topics: [topic] }),
    queueOf(testQueue(name), { system, retentionMs: DAY_MS, topics: [test] }),
  ];
}

function queueOf(name: string, given: Partial<keeper.QueueConfig>): keeper.QueueConfig {
  const bodyBytesMax = RUN_BYTES_MAX;
  return keeper.QueueConfig.fromPartial({
    name,
    passwordHash: CLOSED_HASH,
    bodyBytesMax,
    ...given,
  });
}

// It begins with what is there: a job that came before its topic did is not lost.
function topicOf(given: Partial<keeper.TopicConfig>): keeper.TopicConfig {
  const start = keeper.TopicStart.BEGINNING;
  return keeper.TopicConfig.fromPartial({ start, chunk: 1, ...given });
}

const endless: keeper.RetryPolicy = {
  attempts: 1_000_000,
  backoff: keeper.Backoff.FIXED,
  minMs: 1_000,
  maxMs: 1_000,
  jitter: 0,
  ageMaxMs: 0,
  crashesMax: 1_000_000,
  replaysMax: 0,
  ladderMs: [],
};
