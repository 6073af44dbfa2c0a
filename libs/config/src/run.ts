import type * as z from 'zod';
import { type CommandDocument, commandSchema } from './command.js';
import { faultsOf } from './faults.js';
import { duration, type Field, fail, scalar, section } from './schema.js';
import { type RetryDocument, retry } from './topic.js';
import { quoted } from './units.js';

/** The command of a schedule, as the file says it: that of a target, and how it is tried. */
export interface RunDocument extends Omit<CommandDocument, 'argv'> {
  command: string[];
  /** A node's name, or `all`; absent for any. */
  on?: string;
  /** Only with `on: all`: for how long a job waits for a node that has gone. */
  waitMs?: number;
  timeoutMs: number;
  retentionMs: number;
  retry: RetryDocument;
}

const attemptFields = section({
  timeout: duration.prefault('1h').describe('How long one attempt may take.'),
  retention: duration.prefault('7d').describe('How long runs that have ended can be read.'),
  retry: retry.prefault({ attempts: 1 }),
});

const ATTEMPT_KEYS = ['timeout', 'retention', 'retry'];

/** `on` of a command that each fire runs on every node that carries its tag. */
export const EVERY_NODE = 'all';
const WAIT_MS_MIN = 1_000;

const broadcastFields = section({
  wait: duration
    .prefault('1m')
    .refine((ms) => ms >= WAIT_MS_MIN, 'is less than 1s')
    .describe('With `on: all`: for how long a job waits for a node that has gone.'),
});

/** `run: { command: [php, report.php], timeout: 20m }`; a list is its `command`. */
export const run = scalar('command', (value) => (Array.isArray(value) ? { command: value } : value))
  .transform(read)
  .meta({ type: 'command' }) as Field<RunDocument>;

function read(given: unknown, context: z.RefinementCtx): RunDocument {
  if (typeof given !== 'object' || given === null) {
    return fail(context, `${quoted(given)} is not a command, e.g. { command: [php, report.php] }`);
  }
  const entries = Object.entries(given);
  if ('argv' in given) return fail(context, 'is called command here', ['argv']);
  const isAttempt = ([key]: [string, unknown]): boolean => ATTEMPT_KEYS.includes(key);
  const attempt = parse(attemptFields, entries.filter(isAttempt), context);
  const everywhere = 'on' in given && given.on === EVERY_NODE;
  if ('wait' in given && !everywhere) fail(context, 'means nothing without on: all', ['wait']);
  const isWait = ([key]: [string, unknown]): boolean => key === 'wait';
  const isOn = ([key]: [string, unknown]): boolean => everywhere && key === 'on';
  const broadcast = parse(broadcastFields, entries.filter(isWait), context);
  const own = entries.filter((entry) => !isAttempt(entry) && !isWait(entry) && !isOn(entry));
  const renamed = own.map(([key, value]): [string, unknown] =>
    key === 'command' ? ['argv', value] : [key, value],
  );
  const parsed = parse(commandSchema, renamed, context);
  if (parsed === undefined || attempt === undefined || broadcast === undefined)
    return undefined as never;
  const { argv: command, ...rest } = parsed;
  const { timeout: timeoutMs, retention: retentionMs } = attempt;
  const run = { command, ...rest, timeoutMs, retentionMs, retry: attempt.retry };
  return everywhere ? { ...run, on: EVERY_NODE, waitMs: broadcast.wait } : run;
}

function parse<T>(
  schema: Field<T>,
  entries: ReadonlyArray<[string, unknown]>,
  context: z.RefinementCtx,
): T | undefined {
  const parsed = schema.safeParse(Object.fromEntries(entries));
  if (parsed.success) return parsed.data;
  for (const { path, message } of faultsOf(parsed.error.issues)) {
    fail(context, message.replaceAll('argv', 'command'), [
      ...path.slice(0, 1).map((key) => (key === 'argv' ? 'command' : key)),
      ...path.slice(1),
    ]);
  }
  return undefined;
}
