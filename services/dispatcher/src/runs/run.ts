import { describeEnding, type Ending, OutputKeeper } from '@malabar/command';
import type { dispatcher } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import { Watcher } from './watcher.js';

/** What of the output fits into an error beside how the run ended; U+FFFD takes three bytes for one. */
const WORDS_BYTES_MAX = 15 * 1024;
const WATCHERS_MAX = 32;

/** What is known of a run before it starts. */
export interface RunFacts {
  jobId: string;
  queue: string;
  topic: string;
  attempt: number;
  argv: readonly string[];
  outputBytesMax: number;
}

/** Why a run was ended before its time: a person wanted it, or the bus has no use for its outcome. */
export interface Stop {
  by: 'person' | 'bus';
  reason: string;
}

/** A command that runs or has run, with what is kept of its output and those who watch it. */
export class Run {
  readonly #startedAtMs: number;
  readonly #watchers = new Set<Watcher>();
  readonly #words: OutputKeeper;
  #keeper: OutputKeeper | undefined;
  /** What was kept, once it has ended: the keeper has room for more. */
  #kept: Buffer = Buffer.alloc(0);
  #outputBytes = 0;
  #endedAtMs = 0;
  #ending = '';
  #kill: ((reason: string) => void) | undefined;
  /** Process id; 0 if it was not started. */
  pid = 0;
  /** Why it is being ended, if somebody does. */
  stop: Stop | undefined;

  constructor(
    readonly facts: RunFacts,
    private readonly node: string,
    private readonly clock: Clock,
  ) {
    this.#startedAtMs = clock.now();
    this.#keeper = new OutputKeeper(facts.outputBytesMax);
    this.#words = new OutputKeeper(Math.min(WORDS_BYTES_MAX, facts.outputBytesMax));
  }

  get hasEnded(): boolean {
    return this.#endedAtMs > 0;
  }

  /** Bytes that it takes in memory for its output. */
  get keptBytes(): number {
    return this.#kept.length;
  }

  /** What is kept of the output. */
  get output(): Buffer {
    return this.#keeper?.bytes() ?? this.#kept;
  }

  /** The output as it fits into an error. */
  get words(): string {
    return this.#words.text().trim();
  }

  started(pid: number, kill: (reason: string) => void): void {
    this.pid = pid;
    this.#kill = kill;
    if (this.stop !== undefined) kill(this.stop.reason);
  }

  print(chunk: Buffer): void {
    this.#outputBytes += chunk.length;
    this.#keeper?.push(chunk);
    this.#words.push(chunk);
    if (this.#watchers.size === 0) return;
    const copy = Buffer.from(chunk);
    for (const watcher of this.#watchers) watcher.push(copy);
  }

  /** SIGTERM, grace, SIGKILL. The first reason counts. */
  end(stop: Stop): void {
    if (this.stop !== undefined || this.hasEnded) return;
    this.stop = stop;
    this.#ending = `is being killed: ${stop.reason}`;
    this.#kill?.(stop.reason);
  }

  ended(ending: Ending): void {
    this.#endedAtMs = this.clock.now();
    this.#ending = describeEnding(ending);
    this.#kept = this.output;
    this.#keeper = undefined;
    this.#kill = undefined;
    for (const watcher of this.#watchers) watcher.end(this.status());
    this.#watchers.clear();
  }

  /** What is kept so far, then what comes, then the end. Throws BUSY. */
  watch(): AsyncIterable<dispatcher.WatchRunResponse> {
    if (this.#watchers.size >= WATCHERS_MAX)
      throw new BusError('BUSY', `${WATCHERS_MAX} already watch this run`);
    const watcher = new Watcher((gone) => this.#watchers.delete(gone));
    const { output } = this;
    if (output.length > 0) watcher.push(output);
    if (this.hasEnded) watcher.end(this.status());
    else this.#watchers.add(watcher);
    return watcher.pieces();
  }

  status(): dispatcher.Run {
    const { jobId, queue, topic, attempt, argv } = this.facts;
    return {
      jobId,
      queue,
      topic,
      attempt,
      node: this.node,
      argv: [...argv],
      pid: this.pid,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      outputBytes: this.#outputBytes,
      ending: this.#ending,
    };
  }
}
