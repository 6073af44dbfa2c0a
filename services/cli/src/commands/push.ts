import { readFile } from 'node:fs/promises';
import { common } from '@malabar/contracts';
import { BusError, fromFault } from '@malabar/core';
import type { Command } from 'commander';
import {
  type ClientOptions,
  clientCommand,
  countOption,
  durationOption,
  withBus,
} from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT, exitCodeOf } from '../exit.js';
import { createProgress } from '../progress.js';
import { collect } from '../settings.js';

/** What may be said of a job beside its body. */
interface JobOptions {
  delay?: string;
  ttl?: string;
  unique?: string;
  debounce?: string;
  maxWait?: string;
  key?: string;
  priority?: string;
  header?: string[];
  type?: string;
  batch?: string;
}

interface PushOptions extends ClientOptions, JobOptions {
  file?: string;
  lines?: boolean;
  count: string;
  password?: string;
}

/** Jobs in one request; bounded in bytes too, so that large bodies stay below gRPC's message limit. */
const BATCH_JOBS = 500;
const BATCH_BYTES = 1024 * 1024;

const EXAMPLES = `
Examples:
  malabar push order_paid '{"order":"FB138"}'
  malabar push order_paid '{"order":"FB138"}' --delay 10s --unique FB138
  cat orders.ndjson | malabar push order_paid - --lines
  malabar push order_paid --file order.json --header source=import`;

export const DEBOUNCE =
  'with --unique: put it off so long, in the place of the one before unless that was begun';
export const MAX_WAIT = 'with --debounce: due at the latest so long after the first one replaced';

export function pushCommand(context: CommandContext): Command {
  return clientCommand('push')
    .description('push jobs into a queue; says yes when they are on disk')
    .argument('<queue>', 'the queue')
    .argument('[body]', 'the job; - reads it from stdin')
    .option('--file <path>', 'read the job from a file')
    .option('--lines', 'every line of the input is a job')
    .option('--count <n>', 'push the job n times', '1')
    .option('--delay <duration>', 'deliver it no earlier than in 10s, 5m, 2h ...')
    .option('--ttl <duration>', 'discard it if it is not delivered within this time')
    .option('--unique <id>', 'idempotency key: a second job with it is the same job')
    .option('--debounce <duration>', DEBOUNCE)
    .option('--max-wait <duration>', MAX_WAIT)
    .option('--key <text>', 'order and fairness key')
    .option('--priority <0-9>', 'ready jobs of a higher priority go first', '0')
    .option('--header <name=value>', 'carried to the consumer; may be repeated', collect, [])
    .option('--type <media type>', 'media type of the body')
    .option('--batch <id>', 'the batch that it is in (malabar batches open)')
    .option('--password <text>', 'password of the queue (MALABAR_PASSWORD)')
    .addHelpText('after', EXAMPLES)
    .action((queue: string, body: string | undefined, options: PushOptions) =>
      push(context, queue, body, options),
    );
}

async function push(
  context: CommandContext,
  queue: string,
  body: string | undefined,
  options: PushOptions,
): Promise<void> {
  const jobs = await readJobs(context, body, options);
  const results = await withBus(options, context, (bus, timeoutMs) => {
    const client = bus.client('ingest');
    const metadata = authorization(queue, options.password ?? context.env.MALABAR_PASSWORD);
    return submit(context, jobs, (batch) =>
      client.submitBatch({ queue, jobs: batch }, { timeoutMs, metadata }),
    );
  });
  report(context, results, options);
}

/** Basic authentication as ingest wants it; nothing without a password. */
export function authorization(queue: string, password: string | undefined): Record<string, string> {
  if (!password) return {};
  return { authorization: `Basic ${Buffer.from(`${queue}:${password}`).toString('base64')}` };
}

async function readJobs(
  context: CommandContext,
  body: string | undefined,
  options: PushOptions,
): Promise<common.Job[]> {
  const input = await readInput(context, body, options);
  const bodies = options.lines ? splitLines(input) : [input];
  const times = countOption('--count', options.count, 1, 10_000_000);
  const job = jobOf(context, options);
  const jobs: common.Job[] = [];
  for (const each of bodies) {
    for (let at = 0; at < times; at++) jobs.push({ ...job, body: each });
  }
  return jobs;
}

async function readInput(
  { terminal }: CommandContext,
  body: string | undefined,
  options: PushOptions,
): Promise<Uint8Array> {
  if (options.file !== undefined) {
    if (body === undefined) return readFile(options.file).catch(unreadable(options.file));
    throw new CommandError(EXIT.usage, 'a body and --file exclude each other');
  }
  if (body === '-' || (body === undefined && !terminal.interactive)) return terminal.read();
  if (body !== undefined) return Buffer.from(body);
  throw new CommandError(
    EXIT.usage,
    'no job given',
    'name its body, --file <path>, or - for stdin',
  );
}

function unreadable(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw new CommandError(
      EXIT.usage,
      `--file: cannot read ${path}: ${error.code ?? error.message}`,
    );
  };
}

function splitLines(input: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < input.length; ) {
    const found = input.indexOf(0x0a, start);
    const end = found < 0 ? input.length : found;
    const line = input.subarray(start, input[end - 1] === 0x0d ? end - 1 : end);
    if (line.length > 0) lines.push(line);
    start = end + 1;
  }
  return lines;
}

/** What the options say of a job; its body is still to come. */
export function jobOf({ clock }: CommandContext, options: JobOptions): common.Job {
  const now = clock.now();
  const { delay, ttl, debounce, maxWait, header = [], priority = '0' } = options;
  return common.Job.fromPartial({
    headers: Object.fromEntries(header.map(headerOf)),
    key: options.key ?? '',
    priority: countOption('--priority', priority, 0, 9),
    deliverAtMs: delay === undefined ? 0 : now + durationOption('--delay', delay),
    expiresAtMs: ttl === undefined ? 0 : now + durationOption('--ttl', ttl),
    idempotencyKey: options.unique ?? '',
    debounceMs: debounce === undefined ? 0 : durationOption('--debounce', debounce),
    debounceMaxMs: maxWait === undefined ? 0 : durationOption('--max-wait', maxWait),
    contentType: options.type ?? '',
    batch: options.batch ?? '',
  });
}

/** A header as an option names it. */
export function headerOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1)
    throw new CommandError(EXIT.usage, `--header: '${text}' is not of the form name=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

type Results = Awaited<ReturnType<typeof submit>>;

export async function submit(
  { terminal, clock }: CommandContext,
  jobs: common.Job[],
  send: (batch: common.Job[]) => Promise<{ results: Result[] }>,
): Promise<Result[]> {
  const progress = createProgress(terminal, clock, 'pushed');
  const results: Result[] = [];
  try {
    for (const batch of batches(jobs)) {
      for (const result of (await send(batch)).results) results.push(result);
      progress.update(results.length, jobs.length);
    }
  } catch (error) {
    if (results.length > 0)
      terminal.note(
        `malabar: ${results.length} of ${jobs.length} jobs were answered before the error`,
      );
    throw error;
  } finally {
    progress.finish();
  }
  return results;
}

interface Result {
  jobId: string;
  duplicate: boolean;
  fault?: common.Fault | undefined;
}

function* batches(jobs: readonly common.Job[]): Generator<common.Job[]> {
  let batch: common.Job[] = [];
  let bytes = 0;
  for (const job of jobs) {
    if (
      batch.length === BATCH_JOBS ||
      (batch.length > 0 && bytes + job.body.length > BATCH_BYTES)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(job);
    bytes += job.body.length;
  }
  if (batch.length > 0) yield batch;
}

/** Prints the ids of the jobs, `more` beside them as JSON; throws if one was refused. */
export function report(
  context: CommandContext,
  results: Results,
  options: Pick<ClientOptions, 'json'>,
  more: object = {},
): void {
  const { terminal } = context;
  if (options.json) terminal.line(JSON.stringify({ results, ...more }));
  else
    for (const result of results.filter(({ fault }) => !fault)) terminal.line(resultLine(result));
  const faults = results.flatMap(({ fault }) => (fault ? [fromFault(fault)] : []));
  const [first] = faults;
  if (!first) return;
  if (results.length === 1) throw first;
  const refused = `${faults.length} of ${results.length} jobs were refused, the first: ${first.message}`;
  throw new CommandError(exitCodeOf(first.code), refused, undefined, {
    cause: new BusError(first.code, refused),
  });
}

function resultLine({ jobId, duplicate }: Result): string {
  return duplicate ? `${jobId} (known already, not pushed again)` : jobId;
}
