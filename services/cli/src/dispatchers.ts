import type { dispatcher } from '@malabar/contracts';
import { toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Bus } from './bus.js';

export type DispatcherClient = Client<dispatcher.DispatcherServiceDefinition>;

/** What one dispatcher has answered. */
export interface Answer<T> {
  /** The instance at the keeper. */
  id: string;
  client: DispatcherClient;
  answer: T;
}

/** What all dispatchers of a bus have answered. */
export interface Answers<T> {
  answers: Answer<T>[];
  /** Why others did not. */
  silent: string[];
}

/** Asks every dispatcher that the keeper knows. */
export async function askDispatchers<T>(
  bus: Bus,
  ask: (client: DispatcherClient) => Promise<T>,
): Promise<Answers<T>> {
  const answers: Answer<T>[] = [];
  const silent: string[] = [];
  const one = async ({ id, client }: Omit<Answer<T>, 'answer'>): Promise<void> => {
    try {
      answers.push({ id, client, answer: await ask(client) });
    } catch (error) {
      silent.push(`${id} does not answer: ${toBusError(error).message}`);
    }
  };
  await Promise.all(bus.clients('dispatcher').map(one));
  return { answers: answers.sort((a, b) => (a.id < b.id ? -1 : 1)), silent: silent.sort() };
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
