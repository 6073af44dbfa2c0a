import { keeper } from '@malabar/contracts';

/** What a release changes, by the names of the queues. */
export interface Changes {
  added: string[];
  removed: string[];
  changed: string[];
}

export function changesBetween(before: keeper.BusConfig, after: keeper.BusConfig): Changes {
  const old = new Map(before.queues.map((queue) => [queue.name, encoded(queue)]));
  const now = new Map(after.queues.map((queue) => [queue.name, encoded(queue)]));
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
    changed: [...now].flatMap(([name, bytes]) => {
      const was = old.get(name);
      return was !== undefined && !was.equals(bytes) ? [name] : [];
    }),
  };
}

function encoded(queue: keeper.QueueConfig): Buffer {
  return Buffer.from(keeper.QueueConfig.encode(queue).finish());
}
