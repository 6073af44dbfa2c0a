import { common, type storage } from '@malabar/contracts';
import { Command } from 'commander';
import {
  type ClientOptions,
  clientCommand,
  countOption,
  topicOption,
  withBus,
} from '../client-command.js';
import { confirm } from '../confirm.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { firstLine, formatBody, formatCount, formatTime, plural, stateName } from '../format.js';
import { deliveryJson, printJob } from '../job-view.js';
import { createProgress } from '../progress.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';
import { discardCommand } from './jobs-discard.js';

const STATES: Record<string, common.DeliveryState> = {
  ready: common.DeliveryState.READY,
  scheduled: common.DeliveryState.SCHEDULED,
  leased: common.DeliveryState.LEASED,
  done: common.DeliveryState.DONE,
  dead: common.DeliveryState.DEAD,
  discarded: common.DeliveryState.DISCARDED,
};

const EXAMPLES = `
Examples:
  malabar jobs list --topic order_paid/ship --state dead
  malabar jobs show 0198f0a2-6b1c-7000-8000-00000000002a
  malabar jobs replay --topic order_paid/ship --all`;

export function jobsCommand(context: CommandContext): Command {
  return new Command('jobs')
    .description('look at jobs, replay dead ones, discard those that are dead or wait')
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(replayCommand(context))
    .addCommand(discardCommand(context))
    .addHelpText('after', EXAMPLES);
}

interface ListOptions extends ClientOptions {
  topic: string;
  state: string;
  limit: string;
  cursor?: string;
  body?: boolean;
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list the deliveries of a topic in one state, oldest first')
    .requiredOption('--topic <queue/topic>', 'the topic')
    .requiredOption('--state <state>', `one of ${Object.keys(STATES).join(', ')}`)
    .option('--limit <n>', 'deliveries in a page, up to 1000', '50')
    .option('--cursor <text>', 'go on where the page before ended')
    .option('--body', 'show the bodies')
    .addHelpText(
      'after',
      `
Examples:
  malabar jobs list --topic order_paid/ship --state dead
  malabar jobs list --topic order_paid/ship --state done --limit 10 --body --json`,
    )
    .action((options: ListOptions) => list(context, options));
}

async function list(context: CommandContext, options: ListOptions): Promise<void> {
  const state = STATES[options.state];
  if (state === undefined) {
    const known = Object.keys(STATES).join(', ');
    throw new CommandError(EXIT.usage, `--state: '${options.state}' is none of ${known}`);
  }
  const request = {
    ...topicOption(options.topic),
    state,
    limit: countOption('--limit', options.limit, 1, 1000),
    cursor: options.cursor ?? '',
    withBody: options.body === true,
  };
  const page = await withBus(options, context, (bus, timeoutMs) =>
    bus.client('storage').listJobs(request, { timeoutMs }),
  );
  const { terminal } = context;
  if (options.json) {
    const deliveries = page.deliveries.map(deliveryJson);
    terminal.line(JSON.stringify({ deliveries, nextCursor: page.nextCursor }));
  } else {
    printPage(terminal, options, page);
  }
}

function printPage(
  terminal: Terminal,
  options: ListOptions,
  { deliveries, nextCursor }: storage.ListJobsResponse,
): void {
  if (deliveries.length === 0) {
    terminal.line(`No delivery of ${options.topic} is ${options.state}.`);
    return;
  }
  const columns = [
    { title: 'JOB' },
    { title: 'ACCEPTED' },
    { title: 'ATTEMPTS', right: true },
    { title: options.state === 'scheduled' ? 'DUE' : '' },
    { title: options.body ? 'BODY' : 'LAST ERROR' },
  ];
  const rows = deliveries.map((delivery) => [
    delivery.jobId,
    formatTime(delivery.acceptedAtMs),
    String(delivery.attempts),
    options.state === 'scheduled' ? formatTime(delivery.dueAtMs) : '',
    options.body ? formatBody(delivery.job?.body ?? new Uint8Array(), 200) : errorCell(delivery),
  ]);
  printTable(terminal, columns, rows);
  if (nextCursor) terminal.note(`More: repeat with --cursor ${nextCursor}`);
}

function errorCell({ errorCode, error, quarantined }: storage.Delivery): string {
  const text = [errorCode, firstLine(error, 80)].filter(Boolean).join(': ');
  return quarantined ? `(quarantined) ${text}` : text;
}

function showCommand(context: CommandContext): Command {
  return clientCommand('show')
    .description('show a job with its state and attempts in every topic')
    .argument('<id>', 'id of the job')
    .addHelpText(
      'after',
      `
Examples:
  malabar jobs show 0198f0a2-6b1c-7000-8000-00000000002a
  malabar jobs show 0198f0a2-6b1c-7000-8000-00000000002a --json`,
    )
    .action(async (id: string, options: ClientOptions) => {
      const found = await withBus(options, context, (bus, timeoutMs) =>
        bus.client('storage').getJob({ jobId: id }, { timeoutMs }),
      );
      printJob(context.terminal, id, found, options.json === true);
    });
}

interface ReplayOptions extends ClientOptions {
  topic: string;
  all?: boolean;
  force?: boolean;
  yes?: boolean;
}

function replayCommand(context: CommandContext): Command {
  return clientCommand('replay')
    .description('put dead deliveries back to ready; their attempts stay on record')
    .requiredOption('--topic <queue/topic>', 'the topic')
    .argument('[ids...]', 'ids of the jobs')
    .option('--all', 'every dead delivery of the topic')
    .option('--force', 'also what was replayed as often as the topic allows (retry.replays)')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Examples:
  malabar jobs replay --topic order_paid/ship 0198f0a2-6b1c-7000-8000-00000000002a
  malabar jobs replay --topic order_paid/ship --all --yes`,
    )
    .action((ids: string[], options: ReplayOptions) => replay(context, ids, options));
}

async function replay(
  context: CommandContext,
  ids: string[],
  options: ReplayOptions,
): Promise<void> {
  const { queue, topic } = topicOption(options.topic);
  if (ids.length === 0 && !options.all) {
    throw new CommandError(EXIT.usage, 'nothing to replay', 'name job ids, or --all');
  }
  if (ids.length > 0 && options.all) {
    throw new CommandError(EXIT.usage, 'job ids and --all exclude each other');
  }
  if (options.all && !options.yes) {
    await confirm(context.terminal, {
      consequence: '--all replays every dead delivery',
      question: `Replay every dead delivery of ${options.topic}?`,
      refused: 'nothing was replayed',
    });
  }
  const { terminal, clock } = context;
  const result = await withBus(options, context, async (bus) => {
    const progress = createProgress(terminal, clock, 'replayed');
    let last = { replayed: 0, total: 0, refused: 0 };
    try {
      const request = { queue, topic, jobIds: ids, force: options.force === true };
      for await (const step of bus.client('storage').replay(request)) {
        last = { replayed: step.replayed, total: step.total, refused: step.refused };
        progress.update(step.replayed, step.total);
      }
    } finally {
      progress.finish();
    }
    return last;
  });
  if (options.json) terminal.line(JSON.stringify(result));
  else terminal.line(`${formatCount(result.replayed)} replayed`);
  if (result.refused > 0)
    terminal.note(
      `${plural(result.refused, 'delivery', 'deliveries')} left dead: replayed as often as ` +
        `${options.topic} allows (retry.replays); --force replays them as well`,
    );
  if (result.replayed < ids.length) {
    const missing = ids.length - result.replayed;
    throw new CommandError(
      EXIT.notFound,
      `${missing} of ${ids.length} jobs are not dead in ${options.topic}`,
      `\`malabar jobs list --topic ${options.topic} --state ${stateName(common.DeliveryState.DEAD)}\` lists those that are`,
    );
  }
}
