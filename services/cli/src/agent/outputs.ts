import type { AgentFormat } from '@malabar/config';
import type { Clock } from '@malabar/core';
import { type FileAttributes, type StagedFile, stageFile } from './atomic-file.js';
import { FORMATS } from './format.js';
import { type Reload, runReload } from './reload.js';
import type { ValueFile } from './value-files.js';

/** A file that the agent keeps equal to a node's values. */
export interface Output {
  path: string;
  format: AgentFormat;
  /** Names of the files whose values it gets, e.g. `redis`; all without. */
  only?: readonly string[];
  attributes: FileAttributes;
  reload?: Reload;
}

/** A file of which a new content is on its way. */
interface Pending {
  output: Output;
  staged: StagedFile;
}

/** The part of a logger that this needs. */
interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Keeps the outputs of one domain equal to its values: all of them, or none. */
export class Outputs {
  readonly #outputs: readonly Output[];
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(outputs: readonly Output[], { clock, log }: { clock: Clock; log: Log }) {
    this.#outputs = outputs;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Writes what differs and runs the reload commands of it, each once. If a file cannot be written or
   * a command fails, all is as it was and the reason is thrown. A file that was not there before
   * stays: whoever reads it has yet to start, so its reload command may fail.
   */
  async apply(files: readonly ValueFile[]): Promise<void> {
    const pending = await this.#stage(files);
    const done: Pending[] = [];
    try {
      for (const each of pending) {
        await each.staged.commit();
        done.push(each);
        if (each.staged.changed) this.#log.info({ file: each.output.path }, 'file written');
      }
      await this.#reload(done);
    } catch (error) {
      await Promise.all(pending.map(({ staged }) => staged.discard()));
      await this.#restore(done);
      throw error;
    }
  }

  async #stage(files: readonly ValueFile[]): Promise<Pending[]> {
    const pending: Pending[] = [];
    for (const output of this.#outputs) {
      const { path, format, only, attributes } = output;
      const wanted = only ? files.filter(({ name }) => only.includes(name)) : files;
      const content = Buffer.from(FORMATS[format](wanted));
      try {
        pending.push({ output, staged: await stageFile(path, content, attributes) });
      } catch (error) {
        await Promise.all(pending.map(({ staged }) => staged.discard()));
        throw unwritable(path, error);
      }
    }
    return pending;
  }

  async #reload(done: readonly Pending[]): Promise<void> {
    const changed = done.filter(({ staged }) => staged.changed);
    const first = changed.filter(({ staged }) => staged.before === undefined);
    const again = changed.filter(({ staged }) => staged.before !== undefined);
    for (const reload of commandsOf(again)) await runReload(reload, this.#clock);
    for (const reload of commandsOf(first)) await this.#tryReload(reload);
  }

  async #restore(done: readonly Pending[]): Promise<void> {
    const back = done.filter(({ staged }) => staged.changed && staged.before !== undefined);
    for (const { output, staged } of back) {
      const { path, attributes } = output;
      try {
        await (await stageFile(path, staged.before as Buffer, attributes)).commit();
        this.#log.warn({ file: path }, 'file restored');
      } catch (error) {
        this.#log.warn({ file: path, reason: (error as Error).message }, 'file not restored');
      }
    }
    for (const reload of commandsOf(back)) await this.#tryReload(reload);
  }

  async #tryReload(reload: Reload): Promise<void> {
    try {
      await runReload(reload, this.#clock);
    } catch (error) {
      this.#log.warn({ reason: (error as Error).message }, 'reload failed');
    }
  }
}

/** Several files may have one reader: its command runs once. */
function commandsOf(pending: readonly Pending[]): Iterable<Reload> {
  const commands = new Map<string, Reload>();
  for (const { reload } of pending.map(({ output }) => output)) {
    if (reload) commands.set(JSON.stringify(reload.argv), reload);
  }
  return commands.values();
}

function unwritable(path: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  return new Error(`cannot write ${path}: ${code ?? message}`, { cause: error });
}
