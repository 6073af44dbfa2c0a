import { keeper } from '@malabar/contracts';

const UNSET: keeper.RetryPolicy = keeper.RetryPolicy.fromPartial({
  attempts: 10,
  backoff: keeper.Backoff.EXPONENTIAL,
  minMs: 1_000,
  maxMs: 3_600_000,
  jitter: 0.2,
  crashesMax: 3,
});
/** What a topic allows whose document does not say. */
const REPLAYS_MAX = 10;

/** The topic's policy, or the defaults where the document names none. */
export function retryPolicy(topic: keeper.TopicConfig): keeper.RetryPolicy {
  return topic.retry ?? UNSET;
}

/** How often a dead delivery may be replayed before somebody has to insist. */
export function replaysMax(topic: keeper.TopicConfig): number {
  return retryPolicy(topic).replaysMax || REPLAYS_MAX;
}

/** Pause after the attempt number `attempt` (from 1) has failed. `random` is in [0, 1). */
export function retryDelayMs(policy: keeper.RetryPolicy, attempt: number, random: number): number {
  const full = fullDelayMs(policy, attempt);
  return Math.round(full * (1 - policy.jitter * random));
}

function fullDelayMs(policy: keeper.RetryPolicy, attempt: number): number {
  switch (policy.backoff) {
    case keeper.Backoff.FIXED:
      return policy.minMs;
    case keeper.Backoff.LADDER:
      return policy.ladderMs[Math.min(attempt, policy.ladderMs.length) - 1] ?? policy.minMs;
    default:
      return Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(attempt - 1, 40));
  }
}
