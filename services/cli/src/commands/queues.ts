import type { storage } from '@malabar/contracts';
import type { Command } from 'commander';
import type { Bus } from '../bus.js';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { askDispatchers, byTopic, whyBlocked } from '../dispatchers.js';
import { formatCount } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

const EXAMPLES = `
Examples:
  malabar queues
  malabar queues order_paid --json`;

const STATES = ['ready', 'scheduled', 'leased', 'done', 'dead', 'discarded'] as const;

export function queuesCommand(context: CommandContext): Command {
  return clientCommand('queues')
    .description('show every topic with its number of deliveries in each state')
    .argument('[queue]', 'only this queue')
    .addHelpText('after', EXAMPLES)
    .action((queue: string | undefined, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { queues } = await bus
          .client('storage')
          .listQueues({ queue: queue ?? '' }, { timeoutMs });
        const reasons = await whyWaiting(bus, queues, timeoutMs);
        const waiting = Object.fromEntries(reasons);
        if (options.json) context.terminal.line(JSON.stringify({ queues, waiting }));
        else printQueues(context.terminal, queues, reasons);
      }),
    );
}

/** By `queue/topic`, why nothing is delivered of topics that have something ready. */
type Reasons = ReadonlyMap<string, string>;

async function whyWaiting(
  bus: Bus,
  queues: readonly storage.QueueStats[],
  timeoutMs: number,
): Promise<Reasons> {
  if (!queues.some(({ topics }) => topics.some(({ ready }) => ready > 0))) return new Map();
  const { answers } = await askDispatchers(bus, (client) =>
    client.listTargets({ queue: '' }, { timeoutMs }),
  );
  const topics = byTopic(answers.flatMap(({ answer }) => answer.targets));
  const reasons = [...topics].map(([path, statuses]) => [path, whyBlocked(statuses)] as const);
  return new Map(reasons.filter(([, reason]) => reason !== ''));
}

/** The table of counters. */
export function printQueues(
  terminal: Terminal,
  queues: readonly storage.QueueStats[],
  reasons: Reasons = new Map(),
): void {
  if (queues.length === 0) {
    terminal.line('No queue is configured. Name one under `queues:` in malabar.yaml.');
    return;
  }
  const columns = [
    { title: 'TOPIC' },
    ...STATES.map((state) => ({ title: state.toUpperCase(), right: true })),
    { title: 'NOTE' },
  ];
  const rows = queues.flatMap((queue) => queueRows(terminal, queue, reasons));
  printTable(terminal, columns, rows);
}

function queueRows(terminal: Terminal, queue: storage.QueueStats, reasons: Reasons): string[][] {
  if (queue.topics.length === 0) return [[queue.queue, ...STATES.map(() => '-'), 'no topics']];
  return queue.topics.map((topic) => [
    `${queue.queue}/${topic.topic}`,
    ...STATES.map((state) => countCell(terminal, state, topic[state])),
    topicNote(queue, topic, reasons),
  ]);
}

function countCell(terminal: Terminal, state: (typeof STATES)[number], count: number): string {
  const text = formatCount(count);
  if (state === 'dead' && count > 0) return terminal.style('red', text);
  return count === 0 ? terminal.style('dim', text) : text;
}

function topicNote(queue: storage.QueueStats, topic: storage.TopicStats, reasons: Reasons): string {
  if (queue.detached || topic.detached) return 'no longer configured';
  if (topic.paused) return 'paused';
  if (topic.ready === 0) return '';
  if (topic.nodesAway.length > 0) return awayNote(topic.nodesAway);
  if (topic.rateReached) return 'waits for its rate';
  const reason = reasons.get(`${queue.queue}/${topic.topic}`);
  if (reason === undefined && topic.keysBusy) return 'waits for others of the same keys';
  return reason ?? (topic.dispatchers === 0 ? 'nobody takes its jobs' : '');
}

/** Deliveries that are for one node only wait for it. */
function awayNote([node, ...others]: readonly string[]): string {
  const more = others.length === 0 ? '' : `, and for ${others.length} more`;
  return `some wait for node ${node}, which is away${more}`;
}
