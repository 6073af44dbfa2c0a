import { RESULTS_QUEUE, RESULTS_TOPIC } from '@malabar/config';
import { common } from '@malabar/contracts';
import { type Clock, frameBody, frameOffsets, sleep, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { FinalStatus } from './core/record.js';
import { HEADER } from './fire-job.js';
import type { StorageClient } from './journal-store.js';
import type { RunEnded } from './leader.js';

const AT_ONCE = 100;
const WAIT_MS = 5_000;
/** A leader that dies gives back after this what it has fetched and not settled. */
const LEASE_MS = 5_000;
const RETRY_MS = 1_000;

/** A result as storage writes it (docs/formats.md, "Results"), as far as it matters here. */
interface Result {
  status: FinalStatus;
  headers: Record<string, string>;
  startedAtMs: number;
  durationMs: number;
  message: string;
  output?: string;
}

export interface ResultsFeedOptions {
  storage: StorageClient;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  /** Resolves when it is in the journal. */
  ended(run: RunEnded): Promise<void>;
}

/** Takes the results of commands, as they come, until the leader leads no more. */
export async function followResults(options: ResultsFeedOptions): Promise<void> {
  const { clock, log, signal } = options;
  while (!signal.aborted) {
    try {
      await takeResults(options);
    } catch (thrown) {
      const { code, message } = toBusError(thrown);
      log.debug({ code, reason: message }, 'no results of runs now');
      await sleep(clock, RETRY_MS, signal);
    }
  }
}

/** One page. What is not in the journal is not settled, and so comes again. */
async function takeResults({ storage, clock, signal, ended }: ResultsFeedOptions): Promise<void> {
  const place = { queue: RESULTS_QUEUE, topic: RESULTS_TOPIC, consumer: 'scheduler' };
  const wish = { maxJobs: AT_ONCE, waitMs: WAIT_MS, leaseMs: LEASE_MS, settle: false };
  const { runs } = await storage.fetch({ ...place, ...wish }, { signal });
  const results = runs.flatMap(resultsOf);
  await Promise.all(
    results.map(({ result }) => {
      const run = result && runEnded(result, clock.now());
      return run && ended(run);
    }),
  );
  const outcomes = results.map(({ leaseId }) =>
    common.Outcome.fromPartial({ leaseId, kind: common.OutcomeKind.DONE }),
  );
  if (outcomes.length > 0) await storage.settle({ outcomes });
}

function resultsOf({ firstLeaseId, jobs }: common.JobRun) {
  const offsets = frameOffsets(jobs) ?? [];
  return offsets.slice(1).map((end, at) => {
    const job = common.Job.decode(frameBody(jobs, offsets[at] as number, end));
    return { leaseId: firstLeaseId + at, result: parse(job.body) };
  });
}

/** Undefined for what is no result: nobody waits for it, and it must not hold up those behind it. */
function parse(body: Uint8Array): Result | undefined {
  try {
    const said = JSON.parse(Buffer.from(body).toString()) as Partial<Result> | null;
    const isResult = isFinal(said?.status) && typeof said?.headers === 'object' && said.headers;
    return isResult ? (said as Result) : undefined;
  } catch {
    return undefined;
  }
}

const FINAL: readonly FinalStatus[] = ['done', 'failed', 'dead', 'discarded'];
const isFinal = (status: unknown): boolean => FINAL.includes(status as FinalStatus);

/** Undefined for a result that is of no run: somebody else's job in a queue of ours. */
function runEnded(result: Result, nowMs: number): RunEnded | undefined {
  const { status, headers, startedAtMs, durationMs, message, output } = result;
  const schedule = headers[HEADER.schedule];
  const runId = headers[HEADER.run];
  if (schedule === undefined || runId === undefined) return undefined;
  const endedAtMs = startedAtMs + durationMs || nowMs;
  const told = { status, endedAtMs, output: output ?? message };
  const node = headers[HEADER.node];
  return { kind: 'runEnded', nowMs, schedule, runId, node, ...told };
}
