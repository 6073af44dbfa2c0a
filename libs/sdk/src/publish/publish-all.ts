import type { PublishError } from '../errors.js';
import type { EventToPublish, Published } from './options.js';
import { PublishAllError, type Refusal } from './publish-all-error.js';
import type { Publisher } from './publisher.js';

/**
 * Publishes what comes from the source, as fast as the bus takes it. What the source or an event
 * itself gets wrong ends it, after everything that was begun has ended.
 */
export async function publishAll(
  publisher: Publisher,
  events: Iterable<EventToPublish> | AsyncIterable<EventToPublish>,
): Promise<readonly Published[]> {
  const published: (Published | undefined)[] = [];
  const refusals: Refusal[] = [];
  const open = new Set<Promise<void>>();
  try {
    for await (const one of events) {
      await publisher.ready();
      const index = published.push(undefined) - 1;
      const { event, params = {}, ...options } = one;
      const task = publisher
        .publish(event, params, options)
        .then((answer) => {
          published[index] = answer;
        })
        .catch((error: PublishError) => {
          refusals.push({ index, error });
        })
        .finally(() => open.delete(task));
      open.add(task);
    }
  } finally {
    await Promise.all(open);
  }
  if (refusals.length === 0) return published as Published[];
  throw new PublishAllError(
    published,
    refusals.sort((a, b) => a.index - b.index),
  );
}
