import type { storage } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
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
        if (options.json) context.terminal.line(JSON.stringify({ queues }));
        else printQueues(context.terminal, queues);
      }),
    );
}

/** The table of counters. */
export function printQueues(terminal: Terminal, queues: readonly storage.QueueStats[]): void {
  if (queues.length === 0) {
    terminal.line('No queue is configured. Name one under `queues:` in malabar.yaml.');
    return;
  }
  const columns = [
    { title: 'TOPIC' },
    ...STATES.map((state) => ({ title: state.toUpperCase(), right: true })),
    { title: 'NOTE' },
  ];
  const rows = queues.flatMap((queue) => queueRows(terminal, queue));
  printTable(terminal, columns, rows);
}

function queueRows(terminal: Terminal, queue: storage.QueueStats): string[][] {
  if (queue.topics.length === 0) return [[queue.queue, ...STATES.map(() => '-'), 'no topics']];
  return queue.topics.map((topic) => [
    `${queue.queue}/${topic.topic}`,
    ...STATES.map((state) => countCell(terminal, state, topic[state])),
    topicNote(queue, topic),
  ]);
}

function countCell(terminal: Terminal, state: (typeof STATES)[number], count: number): string {
  const text = formatCount(count);
  if (state === 'dead' && count > 0) return terminal.style('red', text);
  return count === 0 ? terminal.style('dim', text) : text;
}

function topicNote(queue: storage.QueueStats, topic: storage.TopicStats): string {
  if (queue.detached || topic.detached) return 'no longer configured';
  if (topic.paused) return 'paused';
  if (topic.dispatchers === 0 && topic.ready > 0) return 'nobody takes its jobs';
  return '';
}
