import { circles } from '@malabar/schedule';
import type { KeyFault } from './faults.js';
import { suggestion } from './suggestion.js';
import { quoted } from './units.js';

/** What of a schedule others matter to. */
interface Links {
  /** Where it pushes; undefined if it runs a command. */
  queue: string | undefined;
  parents: readonly string[];
}

export interface Neighbours {
  /** Documents of all schedules, by name. They may have faults. */
  schedules: Readonly<Record<string, unknown>>;
  /** Names of all queues; undefined if they are kept elsewhere. */
  queues: readonly string[] | undefined;
}

/** Names of queues that the bus keeps for itself. */
const OURS = 'malabar.';

/** Faults between schedules, and between them and queues; paths begin with the schedule's name. */
export function scheduleFaults({ schedules, queues }: Neighbours): KeyFault[] {
  const links = new Map(Object.entries(schedules).map(([name, one]) => [name, linksOf(one)]));
  const known = [...links.keys()];
  const faults = [...links].flatMap(([name, { queue, parents }]) => [
    ...queueFaults(name, queue, queues),
    ...parents.flatMap((parent, at) => parentFaults(name, parent, at, known)),
  ]);
  return [...faults, ...circleFaults(links)];
}

/** What is wrong with a queue's name: it is one that the bus makes itself. */
export function ownQueueFault(
  queue: string,
  schedules: Readonly<Record<string, unknown>>,
): string | undefined {
  if (queue.startsWith(OURS)) return `queues whose names begin with ${OURS} are the bus's own`;
  const [, schedule = ''] = /^schedule(?:-test)?\.(.+)$/.exec(queue) ?? [];
  const document = schedules[schedule] as { run?: unknown } | null | undefined;
  if (document?.run === undefined) return undefined;
  return `is made by the schedule ${schedule}`;
}

function linksOf(document: unknown): Links {
  const { push, after } = (document ?? {}) as {
    push?: { queue?: unknown } | null;
    after?: { schedules?: unknown } | null;
  };
  const queue = typeof push?.queue === 'string' ? push.queue : undefined;
  const schedules = [after?.schedules ?? []].flat() as unknown[];
  return { queue, parents: schedules.filter((each) => typeof each === 'string') };
}

function queueFaults(
  name: string,
  queue: string | undefined,
  queues: readonly string[] | undefined,
): KeyFault[] {
  if (queue === undefined || queues === undefined || queues.includes(queue)) return [];
  const message = `${quoted(queue)} is not one of queues${suggestion(queue, queues)}`;
  return [{ path: [name, 'push', 'queue'], message }];
}

function parentFaults(
  name: string,
  parent: string,
  at: number,
  known: readonly string[],
): KeyFault[] {
  const path = [name, 'after', 'schedules', String(at)];
  if (parent === name) return [{ path, message: 'follows itself' }];
  if (known.includes(parent)) return [];
  const message = `${quoted(parent)} is not one of schedules${suggestion(parent, known)}`;
  return [{ path, message }];
}

/** Each circle once; a schedule that names itself is told so where it does. */
function circleFaults(links: ReadonlyMap<string, Links>): KeyFault[] {
  const specs = [...links].map(([name, { parents }]) => ({
    name,
    tracked: true,
    after: { schedules: parents },
  }));
  return circles(specs)
    .filter((circle) => circle.length > 2)
    .map((circle) => ({
      path: [circle[0] as string, 'after'],
      message: `waits for itself: ${circle.join(' after ')}`,
    }));
}
