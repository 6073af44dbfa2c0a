import type { dispatcher } from '@malabar/contracts';
import { type Answer as AnswerOf, type Answers, askAll } from './ask-all.js';
import type { Bus, BusClient } from './bus.js';

export type DispatcherClient = BusClient<'dispatcher'>;

/** What one dispatcher has answered. */
export type Answer<T> = AnswerOf<'dispatcher', T>;

/** Asks every dispatcher that the keeper knows. */
export function askDispatchers<T>(
  bus: Bus,
  ask: (client: DispatcherClient) => Promise<T>,
): Promise<Answers<'dispatcher', T>> {
  return askAll(bus, 'dispatcher', ask);
}

/** Why nothing of a topic is delivered, by all that its dispatchers say of it; empty if something is. */
export function whyBlocked(statuses: readonly dispatcher.TargetStatus[]): string {
  const serving = statuses.filter(({ lacks }) => lacks === '');
  const [lacking] = statuses;
  if (serving.length === 0) return lacking ? `no dispatcher carries ${lacking.lacks}` : '';
  return serving.some(({ blocked }) => blocked === '') ? '' : (serving[0]?.blocked ?? '');
}

/** What all dispatchers say, by `queue/topic`. */
export function byTopic(
  statuses: readonly dispatcher.TargetStatus[],
): Map<string, dispatcher.TargetStatus[]> {
  const topics = new Map<string, dispatcher.TargetStatus[]>();
  for (const status of statuses) {
    const path = `${status.queue}/${status.topic}`;
    topics.set(path, [...(topics.get(path) ?? []), status]);
  }
  return topics;
}
