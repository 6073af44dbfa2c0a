import { readFile } from 'node:fs/promises';
import {
  ConfigError,
  changedSettings,
  type Environment,
  type LoadedConfig,
  type MalabarConfig,
  readConfig,
} from '@malabar/config';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { FilePublisher, type Releases } from './file-publisher.js';
import { SOURCES } from './file-source.js';
import { FileWatch, fileMark } from './file-watch.js';
import type { BusFileMetrics } from './metrics.js';

const DEBOUNCE_MS = 100;
const PERIOD_MS = 2_000;

export interface BusFileOptions {
  /** malabar.yaml. */
  path: string;
  /** Variables that secrets may name. */
  env: Environment;
  /** Other keepers may have newer copies of the file. */
  shared: boolean;
  releases: Releases;
  clock: Clock;
  log: Logger;
  metrics: BusFileMetrics;
}

/**
 * malabar.yaml as the development loop: what is saved is checked and published. A file with a fault
 * changes nothing; documents whose key the file does not have are not its business.
 */
export class BusFile {
  readonly #options: BusFileOptions;
  readonly #publishers: readonly FilePublisher[];
  #startedWith: MalabarConfig | undefined;
  #watch: FileWatch | undefined;
  #mark = '';
  /** Why the file as it is now is not published; empty if it is. */
  #refusal = '';

  constructor(options: BusFileOptions) {
    this.#options = options;
    this.#publishers = SOURCES.map((source) => new FilePublisher({ source, ...options }));
  }

  /** Takes the file over. Throws a ConfigError with all its faults. */
  async start(): Promise<void> {
    const { path: file, clock, log } = this.#options;
    this.#mark = await fileMark(file);
    const loaded = this.#parse(await readText(file));
    this.#startedWith = loaded.config;
    for (const publisher of this.#publishers) await publisher.remember();
    await this.#check(loaded);
    for (const publisher of this.#publishers) await publisher.begin(loaded);
    this.#watch = new FileWatch({
      file,
      clock,
      debounceMs: DEBOUNCE_MS,
      periodMs: PERIOD_MS,
      onChange: () => this.#reload(),
      onEventsLost: (err) => log.warn({ err }, 'no file events; looking every 2 s instead'),
    });
  }

  /** Why the newest state of the file is not published; undefined if it is. */
  get refusal(): string | undefined {
    return this.#refusal || undefined;
  }

  /** Looks at the file now. */
  async check(): Promise<void> {
    await this.#watch?.check();
  }

  async stop(): Promise<void> {
    await this.#watch?.stop();
  }

  async #reload(): Promise<void> {
    const { path } = this.#options;
    const mark = await fileMark(path);
    // A refused file is tried again without a change: the secret that it names may be there now.
    if (mark === this.#mark && this.#refusal === '') return;
    this.#mark = mark;
    try {
      const text = await readText(path);
      // Somebody is still writing; the next look will see the whole file.
      if ((await fileMark(path)) !== mark) {
        this.#mark = '';
        return;
      }
      if (text.trim() === '') throw refused(path, 'is empty');
      const loaded = this.#parse(text);
      await this.#check(loaded);
      for (const publisher of this.#publishers) await publisher.publish(loaded);
      this.#accepted(loaded.config);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #parse(text: string): LoadedConfig {
    const { path: file, env } = this.#options;
    return readConfig({ file, text, env: withoutSettings(env) });
  }

  /** All faults at once, before anything is published. */
  async #check(loaded: LoadedConfig): Promise<void> {
    const checks = this.#publishers.map((publisher) => publisher.check(loaded));
    const failed = (await Promise.allSettled(checks)).filter(({ status }) => status === 'rejected');
    const reasons = failed.map((result) => (result as PromiseRejectedResult).reason);
    const other = reasons.find((reason) => !(reason instanceof ConfigError));
    if (other !== undefined) throw other;
    const faults = reasons.flatMap((reason: ConfigError) => reason.faults);
    if (faults.length > 0) throw new ConfigError(faults);
  }

  #accepted(settings: MalabarConfig): void {
    const { log, metrics } = this.#options;
    if (this.#refusal !== '') log.info('the configuration file is good again');
    this.#refusal = '';
    metrics.accepted();
    const changed = this.#startedWith ? changedSettings(this.#startedWith, settings) : [];
    if (changed.length === 0) return;
    log.warn({ settings: changed }, `needs restart: ${changed.join(', ')} changed in the file`);
  }

  #refuse(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    // Said once, not at every look.
    if (reason === this.#refusal) return;
    this.#refusal = reason;
    const { log, metrics } = this.#options;
    metrics.refused();
    for (const fault of reason.split('\n')) log.error({ fault }, `refused: ${fault}`);
    log.error('the configuration file is refused; what was published last stays in force');
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code = 'unknown reason' } = error as NodeJS.ErrnoException;
    throw refused(file, `cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}`);
  }
}

function refused(file: string, message: string): ConfigError {
  return new ConfigError([{ file, line: 0, column: 0, key: '', message }]);
}

// The file is compared with the file: what the environment overrides is no change.
function withoutSettings(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MALABAR_')));
}
