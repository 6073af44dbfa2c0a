import { batches } from '@malabar/contracts';
import { Command } from 'commander';
import type { Bus } from '../bus.js';
import {
  type ClientOptions,
  clientCommand,
  countOption,
  durationOption,
  withBus,
} from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { firstLine, formatCount, formatTime } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';
import { authorization, headerOf } from './push.js';

const EXAMPLES = `
Examples:
  malabar batches
  malabar batches show 0198f0a2-6b1c-7000-8000-00000000002a
  id=$(malabar batches open import_done '{"import":7}')
  malabar push photo_added - --lines --batch $id < photos.ndjson
  malabar batches close $id`;

const SOME_ID = '0198f0a2-6b1c-7000-8000-00000000002a';
const exampleOf = (line: string): string => `\nExamples:\n  malabar ${line}`;

const { BatchState } = batches;
const STATES = ['open', 'closed', 'ended', 'expired', 'abandoned'] as const;

/** `malabar batches`: many jobs with a common end, and how far they are. */
export function batchesCommand(context: CommandContext): Command {
  return new Command('batches')
    .description('batches: many jobs with a common end, after which one job follows')
    .addCommand(listCommand(context), { isDefault: true })
    .addCommand(showCommand(context))
    .addCommand(openCommand(context))
    .addCommand(closeCommand(context))
    .addCommand(abandonCommand(context))
    .addHelpText('after', EXAMPLES);
}

interface ListOptions extends ClientOptions {
  state?: string;
  limit: string;
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list batches, latest first: those that go on, then those of the last seven days')
    .option('--state <state>', `only those that are ${STATES.join(', ')}`)
    .option('--limit <n>', 'at most so many', '50')
    .addHelpText('after', exampleOf('batches list --state open'))
    .action(async (options: ListOptions) => {
      const state = stateOption(options.state);
      const limit = countOption('--limit', options.limit, 1, 100_000);
      const found = await withBus(options, context, (bus, timeoutMs) =>
        listed(bus, { state, limit, timeoutMs }),
      );
      const { terminal } = context;
      if (options.json) terminal.line(JSON.stringify({ batches: found.map(batchJson) }));
      else if (found.length === 0) terminal.line('There is no such batch.');
      else printTable(terminal, COLUMNS, found.map(rowOf));
    });
}

function stateOption(name: string | undefined): batches.BatchState {
  if (name === undefined) return BatchState.UNSPECIFIED;
  const at = (STATES as readonly string[]).indexOf(name);
  if (at >= 0) return (at + 1) as batches.BatchState;
  throw new CommandError(EXIT.usage, `--state: '${name}' is none of ${STATES.join(', ')}`);
}

async function listed(
  bus: Bus,
  { state, limit, timeoutMs }: { state: batches.BatchState; limit: number; timeoutMs: number },
): Promise<batches.Batch[]> {
  const found: batches.Batch[] = [];
  let cursor = '';
  do {
    const asked = { state, limit: Math.min(limit, 1_000), cursor };
    const page = await bus.client('storage').listBatches(asked, { timeoutMs });
    found.push(...page.batches);
    cursor = page.nextCursor;
  } while (cursor !== '' && found.length < limit);
  return found.slice(0, limit);
}

const COLUMNS = [
  { title: 'BATCH' },
  { title: 'STATE' },
  { title: 'OPENED' },
  { title: 'JOBS', right: true },
  { title: 'OPEN', right: true },
  { title: 'DONE', right: true },
  { title: 'DEAD', right: true },
  { title: 'DISCARDED', right: true },
  { title: 'THEN' },
];

function rowOf(batch: batches.Batch): string[] {
  const { id, openedAtMs, jobs, done, dead, discarded, thenQueue } = batch;
  const figures = [jobs, openOf(batch), done, dead, discarded].map(formatCount);
  return [id, stateOf(batch), formatTime(openedAtMs), ...figures, thenQueue];
}

const stateOf = ({ state }: batches.Batch): string => (BatchState[state] ?? '').toLowerCase();
const openOf = ({ deliveries, done, dead, discarded }: batches.Batch): number =>
  deliveries - done - dead - discarded;

function batchJson(batch: batches.Batch): object {
  const on = batch.on === batches.BatchOn.SUCCESS ? 'success' : 'always';
  return { ...batch, on, state: stateOf(batch), open: openOf(batch) };
}

function showCommand(context: CommandContext): Command {
  return clientCommand('show')
    .description('show a batch with what has become of its jobs so far')
    .argument('<id>', 'id of the batch')
    .addHelpText('after', exampleOf(`batches show ${SOME_ID}`))
    .action(async (id: string, options: ClientOptions) => {
      const { batch } = await withBus(options, context, (bus, timeoutMs) =>
        bus.client('storage').getBatch({ id }, { timeoutMs }),
      );
      print(context.terminal, batch, options);
    });
}

function print(terminal: Terminal, batch: batches.Batch | undefined, options: ClientOptions): void {
  if (batch === undefined) throw new CommandError(EXIT.failure, 'the bus answered without a batch');
  if (options.json) {
    terminal.line(JSON.stringify(batchJson(batch)));
    return;
  }
  const { jobs, deliveries, done, dead, discarded, thenQueue, thenJobId, thenFault } = batch;
  const only = batch.on === batches.BatchOn.SUCCESS ? ' if all is done' : '';
  const time = (ms: number): string => (ms === 0 ? '' : formatTime(ms));
  const lines: Array<[string, string]> = [
    ['batch', batch.id],
    ['state', stateOf(batch)],
    ['opened', time(batch.openedAtMs)],
    ['closed', time(batch.closedAtMs)],
    ['expires', batch.state === BatchState.OPEN ? time(batch.expiresAtMs) : ''],
    ['ended', time(batch.endedAtMs)],
    ['jobs', `${formatCount(jobs)}, ${formatCount(deliveries)} deliveries`],
    ['open', formatCount(openOf(batch))],
    ['done', formatCount(done)],
    ['dead', formatCount(dead)],
    ['discarded', formatCount(discarded)],
    ['then', `${thenQueue}${only}${thenJobId === '' ? '' : `: job ${thenJobId}`}`],
    ['', thenFault === undefined ? '' : `not pushed: ${thenFault.message}`],
  ];
  for (const [name, value] of lines)
    if (value !== '') terminal.line(`${name.padEnd(10)}${value}`.trimEnd());
  for (const { code, count, error, queue, topic } of batch.errors)
    terminal.line(`  ${formatCount(count)} x ${code}: ${firstLine(error, 80)} (${queue}/${topic})`);
}

interface OpenOptions extends ClientOptions {
  success?: boolean;
  expires?: string;
  header: string[];
  password?: string;
}

function openCommand(context: CommandContext): Command {
  return clientCommand('open')
    .description('open a batch; prints its id')
    .argument('<queue>', 'the queue of the job that follows')
    .argument('[body]', 'that job; the totals as JSON if not given', '')
    .option('--success', 'it follows only if all is done')
    .option('--expires <duration>', 'the batch has to be closed within 10m, 2h ...; default a day')
    .option('--header <name=value>', 'carried by the job that follows; may be repeated', more, [])
    .option('--password <text>', 'password of the queue (MALABAR_PASSWORD)')
    .addHelpText(
      'after',
      exampleOf(`batches open import_done '{"import":7}' --success --expires 2h`),
    )
    .action(async (queue: string, body: string, options: OpenOptions) => {
      const { success, expires } = options;
      const thenJob = batches.BatchThen.fromPartial({
        queue,
        body: Buffer.from(body),
        headers: Object.fromEntries(options.header.map(headerOf)),
        on: success ? batches.BatchOn.SUCCESS : batches.BatchOn.ALWAYS,
      });
      const expiresAfterMs = expires === undefined ? 0 : durationOption('--expires', expires);
      const metadata = authorization(queue, options.password ?? context.env.MALABAR_PASSWORD);
      const { batch } = await withBus(options, context, (bus, timeoutMs) =>
        bus.client('ingest').openBatch({ thenJob, expiresAfterMs }, { timeoutMs, metadata }),
      );
      if (options.json) print(context.terminal, batch, options);
      else context.terminal.line(batch?.id ?? '');
    });
}

const more = (value: string, before: string[]): string[] => [...before, value];

interface CloseOptions extends ClientOptions {
  queue?: string;
  password?: string;
}

function closeCommand(context: CommandContext): Command {
  return clientCommand('close')
    .description('say that all jobs of a batch are pushed: it ends when they have')
    .argument('<id>', 'id of the batch')
    .option('--queue <name>', 'the queue of the job that follows, if it has a password')
    .option('--password <text>', 'its password (MALABAR_PASSWORD)')
    .addHelpText('after', exampleOf(`batches close ${SOME_ID}`))
    .action(async (id: string, options: CloseOptions) => {
      const { queue = '', password = context.env.MALABAR_PASSWORD } = options;
      const metadata = queue === '' ? {} : authorization(queue, password);
      const { batch } = await withBus(options, context, (bus, timeoutMs) =>
        bus.client('ingest').closeBatch({ id }, { timeoutMs, metadata }),
      );
      print(context.terminal, batch, options);
    });
}

function abandonCommand(context: CommandContext): Command {
  return clientCommand('abandon')
    .description('give a batch up: nothing follows it; its jobs go on by themselves')
    .argument('<id>', 'id of the batch')
    .addHelpText('after', exampleOf(`batches abandon ${SOME_ID}`))
    .action(async (id: string, options: ClientOptions) => {
      const abandoned = await withBus(options, context, async (bus, timeoutMs) => {
        const storage = bus.client('storage');
        const queue = (await storage.getBatch({ id }, { timeoutMs })).batch?.thenQueue ?? '';
        return storage.abandonBatches({ queue, ids: [id] }, { timeoutMs });
      });
      print(context.terminal, abandoned.batches[0], options);
    });
}
