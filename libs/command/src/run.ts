import { type ChildProcess, spawn } from 'node:child_process';
import { type Clock, sleep } from '@malabar/core';
import type { Ending } from './ending.js';
import type { LastWill } from './last-will.js';
import { type ProgramOptions, programOf } from './program.js';

/** What a command that has ended may still have in its pipes, or its children hold open. */
const DRAIN_MS = 1_000;
/** Not even SIGKILL ends a process that waits for a dead disk; nobody shall wait with it. */
const UNKILLABLE_MS = 5_000;

export type OutputName = 'stdout' | 'stderr';

export interface CommandOptions extends ProgramOptions {
  /** Written to its standard input, which then ends. */
  input?: Uint8Array;
  timeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  graceMs: number;
  clock: Clock;
  /** Ends the process group if this process dies first. */
  lastWill: LastWill;
  /** A chunk of output, to be copied if it is kept. A promise: the program waits until it resolves. */
  onOutput(chunk: Buffer, from: OutputName): Promise<void> | undefined;
}

/** A command that was started. */
export interface RunningCommand {
  /** 0 if it could not be started. */
  pid: number;
  /** Never rejects. When it resolves, the whole process group is gone and all output was given. */
  ended: Promise<Ending>;
  /** SIGTERM to its process group, after the grace SIGKILL. `reason` is for people. */
  kill(reason: string): void;
}

/**
 * Runs a program in a process group of its own. What it leaves behind in that group when it ends is
 * ended too: a run is over when it is over. Bounded: output goes to `onOutput`, nothing is kept.
 */
export function runCommand(options: CommandOptions): RunningCommand {
  try {
    return new Command(options, launch(options)).running;
  } catch (error) {
    const ending: Ending = { kind: 'not-started', reason: (error as Error).message };
    return { pid: 0, ended: Promise.resolve(ending), kill: () => {} };
  }
}

function launch(options: CommandOptions): ChildProcess {
  const { line, env } = programOf(options);
  const [program, ...args] = line;
  const child = spawn(program, args, {
    cwd: options.directory,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  if (child.pid !== undefined) options.lastWill.add(child.pid);
  return child;
}

class Command {
  readonly running: RunningCommand;
  /** Why we end it, once we do. */
  #stopping: Ending | undefined;
  readonly #over = new AbortController();
  #giveUp: (ending: Ending) => void = () => {};

  constructor(
    private readonly options: CommandOptions,
    private readonly child: ChildProcess,
  ) {
    const kill = (reason: string): void => this.#stop({ kind: 'killed', reason });
    this.running = { pid: child.pid ?? 0, ended: this.#run(), kill };
  }

  async #run(): Promise<Ending> {
    const { child, options } = this;
    const exit = Promise.race([exitOf(child), this.#givenUp()]);
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.#pipe('stdout');
    this.#pipe('stderr');
    this.#write();
    const { timeoutMs, clock } = options;
    const cancel = clock.after(timeoutMs, () => this.#stop({ kind: 'timeout', timeoutMs }));
    const ending = await exit;
    cancel();
    this.#over.abort();
    await this.#clear(closed);
    return this.#stopping ?? ending;
  }

  /** Takes the rest of the output and ends what the program has left behind. */
  async #clear(closed: Promise<void>): Promise<void> {
    const { child, options } = this;
    this.#signal('SIGTERM');
    const done = new AbortController();
    void closed.then(() => done.abort());
    await sleep(options.clock, DRAIN_MS, done.signal);
    this.#signal('SIGKILL');
    child.stdout?.destroy();
    child.stderr?.destroy();
    await Promise.race([closed, sleep(options.clock, DRAIN_MS, done.signal)]);
    if (child.pid !== undefined) options.lastWill.forget(child.pid);
  }

  #stop(why: Ending): void {
    if (this.#stopping !== undefined || this.#over.signal.aborted) return;
    this.#stopping = why;
    this.#signal('SIGTERM');
    void this.#force(why);
  }

  async #force(why: Ending): Promise<void> {
    const { clock, graceMs } = this.options;
    const { signal } = this.#over;
    await sleep(clock, graceMs, signal);
    if (signal.aborted) return;
    this.#signal('SIGKILL');
    await sleep(clock, UNKILLABLE_MS, signal);
    this.#giveUp(why);
  }

  #givenUp(): Promise<Ending> {
    return new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // Nobody is left in the group.
    }
  }

  #pipe(name: OutputName): void {
    const stream = this.child[name];
    stream?.on('data', (chunk: Buffer) => {
      const wait = this.options.onOutput(chunk, name);
      if (wait === undefined) return;
      stream.pause();
      void wait.finally(() => stream.resume());
    });
    stream?.on('error', () => {});
  }

  #write(): void {
    const { stdin } = this.child;
    // A program need not read its input.
    stdin?.on('error', () => {});
    stdin?.end(this.options.input ?? '');
  }
}

function exitOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ kind: 'not-started', reason: error.message });
    });
    child.once('exit', (code, signal) =>
      resolve(
        code === null ? { kind: 'died', signal: signal ?? 'SIGKILL' } : { kind: 'exited', code },
      ),
    );
  });
}
