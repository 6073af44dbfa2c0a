import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, every } from '@malabar/core';

export interface FileWatchOptions {
  file: string;
  clock: Clock;
  /** Calm that must follow the last event: editors save in several steps. */
  debounceMs: number;
  /** For what no event tells of: network file systems, lost events. */
  periodMs: number;
  /** Called when the file may have changed; never twice at once. Must not throw. */
  onChange(): Promise<void>;
  /** Events do not work; the period still does. */
  onEventsLost(error: Error): void;
}

/** Follows one file, also when editors replace it by another one or a symlink moves. */
export class FileWatch {
  readonly #options: FileWatchOptions;
  readonly #stopEvery: () => void;
  #events: FSWatcher | undefined;
  #cancelDebounce: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#stopEvery = every(options.clock, options.periodMs, () => this.check());
    this.#follow();
  }

  /** Calls `onChange` now, or once more after the call that is under way. */
  check(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopEvery();
    this.#cancelDebounce?.();
    this.#events?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      await this.#options.onChange();
    } while (this.#again && !this.#stopped);
  }

  // The folder, not the file: a watch of a file stays with the inode that an editor threw away.
  #follow(): void {
    try {
      this.#events = watch(dirname(this.#options.file), { persistent: false }, () => this.#touch());
      this.#events.on('error', (error) => this.#lost(error));
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  #lost(error: Error): void {
    this.#events?.close();
    this.#events = undefined;
    this.#options.onEventsLost(error);
  }

  #touch(): void {
    if (this.#stopped) return;
    this.#cancelDebounce?.();
    const { clock, debounceMs } = this.#options;
    this.#cancelDebounce = clock.after(debounceMs, () => void this.check());
  }
}

/** Changes whenever the file does; `missing` if it is not there. */
export async function fileMark(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return 'missing';
  }
}
