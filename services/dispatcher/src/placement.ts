import type { dispatcher, keeper } from '@malabar/contracts';

/** Where this dispatcher stands: which commands are its to run. */
export class Placement {
  constructor(
    readonly node: string,
    readonly tags: readonly string[],
  ) {}

  /** What this dispatcher lacks to run a command, e.g. `the tag batch`; empty if it may. */
  lacks({ tag, node }: keeper.CommandTarget): string {
    if (node !== '' && node !== this.node) return `the name ${node}`;
    return tag === '' || tag === this.node || this.tags.includes(tag) ? '' : `the tag ${tag}`;
  }
}

/** A topic that is left to other dispatchers, as operators see it here. */
export function leftToOthers(
  queue: string,
  { name, concurrency }: keeper.TopicConfig,
  target: keeper.CommandTarget,
  lacks: string,
): dispatcher.TargetStatus {
  return {
    queue,
    topic: name,
    kind: 'command',
    address: target.argv.join(' '),
    running: 0,
    concurrency,
    blocked: `this dispatcher does not carry ${lacks}`,
    workers: 0,
    lacks,
  };
}
