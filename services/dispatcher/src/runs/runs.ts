import { type CommandOptions, type Ending, LastWill, runCommand } from '@malabar/command';
import type { dispatcher } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import { Run, type RunFacts } from './run.js';

/** Of those that have ended, the latest are kept for whoever looks a moment too late. */
const ENDED_MAX = 100;
const ENDED_BYTES_MAX = 8 * 1024 * 1024;

/** Which run: the latest attempt of a job for a topic. */
export interface RunRef {
  queue: string;
  topic: string;
  jobId: string;
}

export interface CommandRunsOptions {
  clock: Clock;
  /** Name of the process. */
  node: string;
}

/** A run and the way it is run; `onOutput` hears of what it prints beside the run itself. */
export type Start = RunFacts & Omit<CommandOptions, 'clock' | 'lastWill'>;

/** The commands of this dispatcher: those that run, and those that ended last. */
export class CommandRuns {
  readonly #running = new Map<string, { run: Run; over: Promise<Ending> }>();
  /** Oldest first. */
  #ended: Run[] = [];
  readonly #lastWill = new LastWill();

  constructor(private readonly options: CommandRunsOptions) {}

  /**
   * Runs a command to its end, which comes whatever the command does. An earlier attempt of the same
   * delivery that still goes on here is waited for: there are never two.
   */
  async run(start: Start, onStart: (run: Run) => void): Promise<{ run: Run; ending: Ending }> {
    const key = keyOf(start);
    for (let before = this.#running.get(key); before; before = this.#running.get(key))
      await before.over;
    const run = new Run(start, this.options.node, this.options.clock);
    const over = this.#execute(run, start);
    this.#running.set(key, { run, over });
    onStart(run);
    const ending = await over;
    this.#running.delete(key);
    this.#keep(run);
    return { run, ending };
  }

  /** Those that run, oldest first, and then those that have ended, latest first. */
  list(): dispatcher.Run[] {
    const running = [...this.#running.values()].map(({ run }) => run.status());
    return [...running, ...this.#ended.map((run) => run.status()).reverse()];
  }

  /** Throws NOT_FOUND and BUSY. */
  watch(ref: RunRef): AsyncIterable<dispatcher.WatchRunResponse> {
    const run = this.#running.get(keyOf(ref))?.run ?? this.#findEnded(ref);
    if (run === undefined) throw unknown(ref);
    return run.watch();
  }

  /** Ends a run because a person wants it. Throws NOT_FOUND, also if it has ended by itself. */
  kill(ref: RunRef, reason: string): dispatcher.Run {
    const run = this.#running.get(keyOf(ref))?.run;
    if (run === undefined) throw unknown(ref);
    run.end({ by: 'person', reason });
    return run.status();
  }

  /** Ends what was left behind; called when nothing runs. */
  close(): void {
    this.#lastWill.close();
  }

  async #execute(run: Run, start: Start): Promise<Ending> {
    const command = runCommand({
      ...start,
      clock: this.options.clock,
      lastWill: this.#lastWill,
      onOutput: (chunk, from) => {
        run.print(chunk);
        return start.onOutput(chunk, from);
      },
    });
    run.started(command.pid, (reason) => command.kill(reason));
    const ending = await command.ended;
    run.ended(ending);
    return ending;
  }

  #keep(run: Run): void {
    this.#ended.push(run);
    const bytes = (): number => this.#ended.reduce((sum, { keptBytes }) => sum + keptBytes, 0);
    while (this.#ended.length > ENDED_MAX || bytes() > ENDED_BYTES_MAX) this.#ended.shift();
  }

  #findEnded(ref: RunRef): Run | undefined {
    return this.#ended.findLast(({ facts }) => keyOf(facts) === keyOf(ref));
  }
}

const keyOf = ({ queue, topic, jobId }: RunRef): string => `${queue}/${topic}/${jobId}`;

function unknown({ queue, topic, jobId }: RunRef): BusError {
  return new BusError('NOT_FOUND', `job ${jobId} does not run here for ${queue}/${topic}`);
}
