import { keeper } from '@malabar/contracts';
import { CLOSED_HASH } from '@malabar/core';
import { topicConfig } from './bus-config.js';
import type { QueueDocument } from './documents.js';
import type { KeyFault } from './faults.js';
import { callbackQueue } from './result.js';
import { suggestion } from './suggestion.js';
import { topic } from './topic.js';
import { quoted } from './units.js';

const DAY_MS = 86_400_000;
const BODY_BYTES_MAX = 1024 * 1024;

/** The queues that exist because topics of this one send their results to a URL. */
export function callbackQueues(name: string, queue: QueueDocument): keeper.QueueConfig[] {
  return Object.entries(queue.topics).flatMap(([topicName, { result }]) => {
    if (result?.url === undefined) return [];
    const callback = topic.parse({ target: result.url, start: 'beginning' });
    const queueName = callbackQueue(name, topicName);
    return keeper.QueueConfig.fromPartial({
      name: queueName,
      system: queue.system,
      passwordHash: CLOSED_HASH,
      retentionMs: DAY_MS,
      bodyBytesMax: BODY_BYTES_MAX,
      topics: [topicConfig(queueName, 'callback', callback)],
    });
  });
}

/** Where a topic's results go. */
interface Link {
  queue: string;
  topic: string;
  to: string;
}

/** Faults between topics and the queues of their results; paths begin with the queue's name. */
export function resultFaults(queues: Readonly<Record<string, unknown>>): KeyFault[] {
  const known = Object.keys(queues);
  const links = Object.entries(queues).flatMap(([name, queue]) => linksOf(name, queue));
  return links.flatMap((link) => faultOf(link, links, known));
}

function faultOf(link: Link, links: readonly Link[], known: readonly string[]): KeyFault[] {
  const { queue, topic: name, to } = link;
  if (to === callbackQueue(queue, name)) {
    const message = `is made by the topic ${queue}/${name}`;
    return known.includes(to) ? [{ path: [to], message }] : [];
  }
  const path = [queue, 'topics', name, 'result', 'queue'];
  if (!known.includes(to)) {
    return [{ path, message: `${quoted(to)} is not one of queues${suggestion(to, known)}` }];
  }
  const way = wayBetween(to, queue, links, [queue]);
  if (way === undefined) return [];
  return [{ path, message: `results of results would never end: ${way.join(' > ')}` }];
}

/** The queues from one to another along results; undefined if there is no way. */
function wayBetween(
  from: string,
  to: string,
  links: readonly Link[],
  before: readonly string[],
): string[] | undefined {
  const way = [...before, from];
  if (from === to) return way;
  if (before.includes(from)) return undefined;
  for (const link of links) {
    const found = link.queue === from ? wayBetween(link.to, to, links, way) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function linksOf(queue: string, document: unknown): Link[] {
  const topics = mapping(mapping(document).topics);
  return Object.entries(topics).flatMap(([name, one]) => {
    const { queue: named, url } = mapping(mapping(one).result);
    const to = typeof url === 'string' ? callbackQueue(queue, name) : named;
    return typeof to === 'string' ? [{ queue, topic: name, to }] : [];
  });
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
