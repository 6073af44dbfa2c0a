import { type ChildProcess, spawn } from 'node:child_process';
import { type Clock, sleep } from '@malabar/core';
import type { Ending } from './ending.js';
import { commandLine, type ProgramOptions } from './program.js';

/** What a command that has ended may still have in its pipes, or its children hold open. */
const DRAIN_MS = 1_000;

export type OutputName = 'stdout' | 'stderr';

export interface CommandOptions extends ProgramOptions {
  /** Written to its standard input, which then ends. */
  input?: Uint8Array;
  timeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  graceMs: number;
  clock: Clock;
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
  const [program, ...args] = commandLine(options);
  return spawn(program, args, {
    cwd: options.directory,
    env: { ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
}

class Command {
  readonly running: RunningCommand;
  /** Why we end it, once we do. */
  #stopping: Ending | undefined;
  readonly #over = new AbortController();

  constructor(
    private readonly options: CommandOptions,
    private readonly child: ChildProcess,
  ) {
    const kill = (reason: string): void => this.#stop({ kind: 'killed', reason });
    this.running = { pid: child.pid ?? 0, ended: this.#run(), kill };
  }

  async #run(): Promise<Ending> {
    const { child, options } = this;
    const exit = exitOf(child);
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
  }

  #stop(why: Ending): void {
    if (this.#stopping !== undefined || this.#over.signal.aborted) return;
    this.#stopping = why;
    this.#signal('SIGTERM');
    const { clock, graceMs } = this.options;
    void sleep(clock, graceMs, this.#over.signal).then(() => {
      if (!this.#over.signal.aborted) this.#signal('SIGKILL');
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
