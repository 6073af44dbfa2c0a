import { Command } from 'commander';
import type { Bus } from '../bus.js';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { authorization, DEBOUNCE, jobOf, MAX_WAIT, report, submit } from './push.js';

interface PublishOptions extends ClientOptions {
  delay?: string;
  unique?: string;
  debounce?: string;
  maxWait?: string;
  key?: string;
  password?: string;
}

const EXAMPLES = `
Examples:
  malabar event publish order_create '{"order":"FB138"}'
  malabar event publish order_create '{"order":"FB138"}' --delay 10s --unique FB138`;

export function eventCommand(context: CommandContext): Command {
  return new Command('event')
    .description('events: queues whose topics are the tasks that they start (docs/events.md)')
    .addCommand(publishCommand(context))
    .addHelpText('after', EXAMPLES);
}

function publishCommand(context: CommandContext): Command {
  return clientCommand('publish')
    .description('publish an event; says which tasks get it, and fails if none does')
    .argument('<event>', 'the event')
    .argument('[params]', 'what its tasks are given, JSON', '{}')
    .option('--delay <duration>', 'start the tasks no earlier than in 10s, 5m, 2h ...')
    .option('--unique <id>', 'idempotency key: a second event with it is the same event')
    .option('--debounce <duration>', DEBOUNCE)
    .option('--max-wait <duration>', MAX_WAIT)
    .option('--key <text>', 'order and fairness key')
    .option('--password <text>', 'password of the event (MALABAR_PASSWORD)')
    .addHelpText('after', EXAMPLES)
    .action((event: string, params: string, options: PublishOptions) =>
      publish(context, event, params, options),
    );
}

async function publish(
  context: CommandContext,
  event: string,
  params: string,
  options: PublishOptions,
): Promise<void> {
  checkJson(params);
  const job = {
    ...jobOf(context, { ...options, type: 'application/json' }),
    body: Buffer.from(params),
  };
  const metadata = authorization(event, options.password ?? context.env.MALABAR_PASSWORD);
  const { tasks, results } = await withBus(options, context, async (bus, timeoutMs) => {
    const registered = await tasksOf(bus, event, timeoutMs);
    const client = bus.client('ingest');
    const answers = await submit(context, [job], (jobs) =>
      client.submitBatch({ queue: event, jobs }, { timeoutMs, metadata }),
    );
    return { tasks: registered, results: answers };
  });
  report(context, results, options, { tasks });
  if (!options.json) context.terminal.line(`for ${tasks.join(', ')}`);
}

function checkJson(params: string): void {
  try {
    JSON.parse(params);
  } catch {
    throw new CommandError(EXIT.usage, `params: '${params}' is not JSON`);
  }
}

/** The tasks that are registered for an event: one at least, or it would be published to nobody. */
async function tasksOf(bus: Bus, event: string, timeoutMs: number): Promise<string[]> {
  const { queues } = await bus.client('storage').listQueues({ queue: event }, { timeoutMs });
  const topics = queues.flatMap((queue) => queue.topics);
  const tasks = topics.filter(({ detached }) => !detached).map(({ topic }) => topic);
  if (tasks.length > 0) return tasks.sort();
  throw new CommandError(
    EXIT.notFound,
    `no task is registered for the event '${event}', so nothing was published`,
    `name one under queues.${event}.topics`,
  );
}
