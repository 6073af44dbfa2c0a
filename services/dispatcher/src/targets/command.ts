import type { common, keeper } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';
import type { Delivery } from '../delivery.js';
import type { Run } from '../runs/run.js';
import type { CommandRuns } from '../runs/runs.js';
import type { Attempt, Target } from '../target.js';
import { retry, type Verdict } from '../verdict.js';
import { commandEnvironment } from './command-environment.js';
import { CommandOutputFile } from './command-output-file.js';
import { judgeRun } from './command-verdict.js';

export interface CommandTargetOptions {
  target: keeper.CommandTarget;
  runs: CommandRuns;
  log: Logger;
  /** PATH and HOME of this process. */
  environment: Readonly<Record<string, string>>;
}

/** A program: one process for each delivery, with the body on its standard input. */
export function createCommandTarget(options: CommandTargetOptions): Target {
  const { target, runs, log } = options;
  const file = target.file && new CommandOutputFile(target.file, log);
  /** What runs, by its attempt; undefined while it waits for an earlier one to end. */
  const going = new Map<Attempt, Run | undefined>();
  const cancelled = new Map<Attempt, string>();
  const cancel = (attempt: Attempt, reason: string): void => {
    if (!going.has(attempt)) return;
    cancelled.set(attempt, reason);
    going.get(attempt)?.end({ by: 'bus', reason });
  };
  const run = async (attempt: Attempt): Promise<Verdict> => {
    file?.begin();
    const { run, ending } = await runs.run(
      {
        ...startOf(attempt, options),
        onOutput: (chunk) => file?.write(chunk),
      },
      (started) => {
        going.set(attempt, started);
        const reason = cancelled.get(attempt);
        if (reason !== undefined) started.end({ by: 'bus', reason });
      },
    );
    const { words, output, stop } = run;
    return judgeRun({ ending, words, output: output.toString('utf8'), stop }, target);
  };
  return {
    kind: 'command',
    address: target.argv.join(' '),
    chunkMax: 1,
    pinged: false,
    deliver: async (attempt) => {
      going.set(attempt, undefined);
      try {
        return await run(attempt);
      } catch (error) {
        return retry('UNREADABLE', (error as Error).message);
      } finally {
        going.delete(attempt);
        cancelled.delete(attempt);
      }
    },
    ping: async () => '',
    cancel,
    close: async () => {
      for (const attempt of going.keys()) cancel(attempt, 'the target is closed');
      await file?.close();
    },
  };
}

function startOf(attempt: Attempt, { target, environment }: CommandTargetOptions) {
  const { queue, topic, deliveries, timeoutMs } = attempt;
  const delivery = deliveries[0] as Delivery;
  const job: common.Job = delivery.decode();
  const { jobId, attempt: number } = delivery;
  const { argv, directory, user, group, graceMs, outputBytesMax } = target;
  const { HOME: _, ...withoutHome } = environment;
  return {
    jobId,
    queue,
    topic,
    attempt: number,
    argv,
    outputBytesMax,
    directory: directory || undefined,
    user: user || undefined,
    group: group || undefined,
    graceMs,
    timeoutMs,
    input: job.body,
    env: commandEnvironment({
      attempt: { queue, topic, jobId, number },
      job,
      // Another user has another home.
      base: user ? withoutHome : environment,
      own: target.env,
    }),
  };
}
