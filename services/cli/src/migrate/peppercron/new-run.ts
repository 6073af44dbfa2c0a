import { formatDuration } from '@malabar/config';
import { type PeppercronJob, SHELL } from './job.js';
import type { PeppercronNode } from './store.js';

/** Keys of `run` of a schedule's document. */
export type Run = Record<string, unknown>;

export interface RunOptions {
  nodes: ReadonlyMap<string, PeppercronNode>;
  /** `retries` counts, although peppercron never read it. */
  keepRetries: boolean;
  warn(message: string): void;
  refuse(message: string): void;
}

const EXECUTORS: Record<number, string> = { 1: 'gRPC', 2: 'HTTP' };
const MS_NS = 1e6;
const SHELLS = ['sh', '/bin/sh'];

/** What a job runs, as a document says it. Says what is not the same, and what there is no place for. */
export function runOf(job: PeppercronJob, options: RunOptions): Run {
  const { executor_type: executor } = job;
  if (executor !== SHELL) {
    const what = EXECUTORS[executor] ?? 'unknown';
    options.refuse(`executor_type ${executor} (${what}) has no executor: agents die of it`);
  }
  return {
    ...commandOf(job, options),
    ...tagOf(job, options),
    ...envOf(job, options),
    ...timeoutOf(job, options),
    ...retryOf(job, options),
  };
}

function commandOf({ executor_params: argv }: PeppercronJob, { warn, refuse }: RunOptions): Run {
  const [program = '', option, line = ''] = argv;
  if (program === '') refuse('executor_params names no program: each of its runs failed');
  if (program.includes('/') && !program.startsWith('/'))
    warn(`${program} is looked for in the folder of the dispatcher, no more in that of the agent`);
  const isLine = SHELLS.includes(program) && option === '-c' && argv.length === 3 && line !== '';
  return isLine ? { shell: line } : { command: argv };
}

function tagOf({ tag }: PeppercronJob, { nodes, warn }: RunOptions): Run {
  const all = [...nodes.values()];
  const carrying = all.filter(({ tags }) => tags.includes(tag));
  const nobody = tag === '' ? 'is without tags' : `carries the tag ${tag}`;
  if (all.length > 0 && carrying.length === 0)
    warn(`no node of peppercron ${nobody}, so it never ran`);
  // Where none is alive peppercron was stopped, as it should be.
  else if (all.some(({ isAlive }) => isAlive) && !carrying.some(({ isAlive }) => isAlive))
    warn(`no living node of peppercron ${nobody}, so it does not run`);
  if (tag === '')
    warn('has no tag: peppercron ran it on nodes without tags, here on any dispatcher');
  return tag === '' ? {} : { tag };
}

function envOf(
  { environment_variables: variables }: PeppercronJob,
  { warn, refuse }: RunOptions,
): Run {
  const env = new Map<string, string>();
  for (const variable of variables) {
    const at = variable.indexOf('=');
    const name = at < 0 ? variable : variable.slice(0, at);
    // Not the text: what has no name may be a piece of a password.
    if (at <= 0) warn('environment_variables has an entry that is not NAME=value; left out');
    else {
      if (env.has(name)) warn(`${name} is set twice; the last one counts, as it did`);
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || isOwn(name))
        refuse(`the variable '${name}' cannot be set here`);
      env.set(name, variable.slice(at + 1));
    }
  }
  return env.size === 0 ? {} : { env: Object.fromEntries(env) };
}

const isOwn = (name: string): boolean => /^MALABAR_/.test(name) || name === 'TRACEPARENT';

function timeoutOf({ executor_timeout: ns }: PeppercronJob, { refuse, warn }: RunOptions): Run {
  if (ns === 0) return {};
  if (ns < MS_NS)
    refuse(`executor_timeout ${ns} is in nanoseconds, which ended each run before it began`);
  const ms = Math.ceil(ns / MS_NS);
  if (ns > 0 && ns < 1_000 * MS_NS) warn(`executor_timeout ${ns} is ${ms}ms, in nanoseconds`);
  return { timeout: formatDuration(ms) };
}

function retryOf({ retries }: PeppercronJob, { keepRetries, warn }: RunOptions): Run {
  if (retries <= 0) return {};
  if (keepRetries) return { retry: { attempts: retries + 1 } };
  warn(`retries ${retries} was never read by peppercron; --keep-retries makes it true`);
  return {};
}
