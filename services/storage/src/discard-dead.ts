import type { storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { withdraw } from './discard.js';
import { everyDead } from './replay.js';
import type { Store } from './store.js';

/**
 * Discards the dead deliveries of a topic that died long enough ago. Takes those that are dead now, and
 * makes each part durable before the next. Yields its progress. Throws BUSY while they are replayed.
 */
export async function* discardDead(
  store: Store,
  { queue, topic: name, olderThanMs, dryRun, reason }: storage.DiscardDeadRequest,
): AsyncGenerator<storage.DiscardDeadResponse> {
  const topic = store.topic(queue, name);
  if (olderThanMs < 0) throw new BusError('INVALID', `older_than_ms ${olderThanMs} is negative`);
  if (topic.replaying) throw new BusError('BUSY', `topic '${queue}/${name}' is being replayed`);
  const diedBefore = store.options.clock.now() - olderThanMs;
  const answer = { discarded: 0, kept: 0, total: topic.counts().dead };
  for await (const batch of everyDead(store, topic)) {
    for (const [seq, { sinceMs }] of batch) {
      const isOld = sinceMs <= diedBefore;
      const goes =
        isOld && (dryRun || (await withdraw(store, topic, seq, { reason, only: 'dead' })));
      if (goes === true || goes === 'discarded') answer.discarded++;
      else answer.kept++;
    }
    if (!dryRun) await store.committer.flush();
    yield { ...answer };
  }
}
