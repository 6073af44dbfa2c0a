import type { Command } from 'commander';
import {
  type ClientOptions,
  clientCommand,
  durationOption,
  topicOption,
  withBus,
} from '../client-command.js';
import { confirm } from '../confirm.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { formatCount, plural } from '../format.js';
import { createProgress } from '../progress.js';

interface DiscardOptions extends ClientOptions {
  topic?: string;
  state?: string;
  older?: string;
  dryRun?: boolean;
  yes?: boolean;
  message: string;
}

export function discardCommand(context: CommandContext): Command {
  return clientCommand('discard')
    .description('discard jobs that are dead or wait: nobody gets them any more; the history stays')
    .argument('[ids...]', 'ids of the jobs')
    .option('--topic <queue/topic>', 'only for this topic; for all topics of the jobs if not given')
    .option('--state <state>', 'instead of ids: dead, for all that is dead in the topic')
    .option('--older <duration>', 'with --state: only what has been dead for 7d, 12h ...')
    .option('--dry-run', 'with --state: only count')
    .option('--yes', 'do not ask')
    .option('-m, --message <reason>', 'why; it stays with the jobs', '')
    .addHelpText(
      'after',
      `
What somebody works on at the moment is left alone; \`malabar runs kill\` ends commands.

Examples:
  malabar jobs discard 0198f0a2-6b1c-7000-8000-00000000002a -m 'wrong customer'
  malabar jobs discard --topic order_paid/ship 0198f0a2-6b1c-7000-8000-00000000002a
  malabar jobs discard --topic order_paid/ship --state dead --older 7d --dry-run
  malabar jobs discard --topic order_paid/ship --state dead --older 7d --yes`,
    )
    .action((ids: string[], options: DiscardOptions) => {
      const topic = checked(ids, options);
      return topic === undefined
        ? discardNamed(context, ids, options)
        : discardDead(context, topic, options);
    });
}

/** The topic all of whose dead deliveries are meant; undefined if jobs are named. */
function checked(ids: string[], options: DiscardOptions): string | undefined {
  const { state, topic, older, dryRun } = options;
  if (state === undefined) {
    if (ids.length === 0)
      throw new CommandError(
        EXIT.usage,
        'nothing to discard',
        'name job ids, or --topic and --state',
      );
    if (older !== undefined || dryRun)
      throw new CommandError(EXIT.usage, '--older and --dry-run belong to --state');
    return undefined;
  }
  if (ids.length > 0) throw new CommandError(EXIT.usage, 'job ids and --state exclude each other');
  if (state !== 'dead')
    throw new CommandError(
      EXIT.usage,
      `--state: '${state}' is not dead; name jobs of others by id`,
    );
  if (topic === undefined) throw new CommandError(EXIT.usage, '--state needs --topic');
  return topic;
}

async function discardNamed(
  context: CommandContext,
  ids: string[],
  options: DiscardOptions,
): Promise<void> {
  const wanted = options.topic === undefined ? undefined : topicOption(options.topic);
  const total = { discarded: 0, leased: 0 };
  await withBus(options, context, async (bus, timeoutMs) => {
    const storage = bus.client('storage');
    for (const id of ids) {
      const queue = wanted?.queue ?? (await storage.getJob({ jobId: id }, { timeoutMs })).queue;
      const request = { queue, topic: wanted?.topic ?? '', jobIds: [id], reason: options.message };
      const { discarded, leased } = await storage.discard(request, { timeoutMs });
      total.discarded += discarded;
      total.leased += leased;
    }
  });
  const { terminal } = context;
  if (options.json) terminal.line(JSON.stringify(total));
  else terminal.line(`${formatCount(total.discarded)} discarded`);
  if (total.leased > 0)
    terminal.note(`${plural(total.leased, 'delivery', 'deliveries')} left to who works on them`);
}

async function discardDead(
  context: CommandContext,
  path: string,
  options: DiscardOptions,
): Promise<void> {
  const { terminal, clock } = context;
  const dryRun = options.dryRun === true;
  const olderThanMs = options.older === undefined ? 0 : durationOption('--older', options.older);
  const which =
    options.older === undefined ? 'every dead delivery' : `what is dead for ${options.older}`;
  if (!dryRun && !options.yes)
    await confirm(terminal, {
      consequence: `--state dead discards ${which}`,
      question: `Discard ${which} of ${path}?`,
      refused: 'nothing was discarded',
    });
  const request = { ...topicOption(path), olderThanMs, dryRun, reason: options.message };
  const result = await withBus(options, context, async (bus) => {
    const progress = createProgress(terminal, clock, dryRun ? 'looked at' : 'discarded');
    let last = { discarded: 0, kept: 0, total: 0 };
    try {
      for await (const { discarded, kept, total } of bus.client('storage').discardDead(request)) {
        last = { discarded, kept, total };
        progress.update(discarded + kept, total);
      }
    } finally {
      progress.finish();
    }
    return last;
  });
  const { discarded, kept } = result;
  if (options.json) terminal.line(JSON.stringify({ ...result, dryRun }));
  else
    terminal.line(
      dryRun
        ? `${formatCount(discarded)} would be discarded, ${formatCount(kept)} stay`
        : `${formatCount(discarded)} discarded, ${formatCount(kept)} stay dead`,
    );
}
