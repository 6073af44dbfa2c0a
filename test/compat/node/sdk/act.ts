import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Duration, type Job, RetryException, TaskException } from '@malabar/sdk';

/** What the events of the tests carry: what their task is to do. */
export interface ActParams {
  /** File for a line when it begins, and one when it ends. */
  record: string;
  do?: 'retry' | 'dead' | 'throw' | 'text' | 'sleep' | 'block' | 'die' | 'deaf';
  /** Only at the first attempt. */
  once?: boolean;
  after?: Duration;
  ms?: number;
  n?: number;
}

/** Writes down that it began, does what `do` says, and writes down that it ended. */
export async function act(params: ActParams, job: Job): Promise<string> {
  note(params, job, 'begin');
  const isOver = params.once && job.attempt > 1;
  if (params.do !== undefined && !isOver) await acts[params.do](params, job);
  note(params, job, 'end');
  return 'whatever';
}

type Act = (params: ActParams, job: Job) => unknown;

const acts: Record<NonNullable<ActParams['do']>, Act> = {
  retry: ({ after }) => {
    throw new RetryException('not yet', after);
  },
  dead: () => {
    throw new TaskException('no such order');
  },
  throw: () => {
    throw Object.assign(new RangeError('kein Bestand: 0 St\u00fcck'), { code: 'E_STOCK' });
  },
  text: () => {
    throw 'only words';
  },
  sleep: ({ ms }, { signal }) => pause(ms, undefined, { signal }),
  /** Keeps the event loop to itself. */
  block: ({ ms = 0 }) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
  die: () => process.kill(process.pid, 'SIGKILL'),
  /** Does not listen to its signal. */
  deaf: ({ ms }) => pause(ms),
};

function note({ record, n }: ActParams, job: Job, what: string): void {
  const { id, attempt, queue, task, event, headers, key, contentType, traceparent } = job;
  const facts = { event, headers, key, contentType, traceparent, aborted: job.signal.aborted };
  const place = { path: `${queue}/${task}`, n: n ?? null, pid: process.pid, at: Date.now() };
  const line = { id, try: attempt, what, ...place, ...facts, acceptedAt: +job.acceptedAt };
  appendFileSync(record, `${JSON.stringify(line)}\n`);
}
