import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  ConfigError,
  changedSettings,
  createPasswordHashes,
  documentsToFiles,
  type Environment,
  filesToBusConfig,
  type MalabarConfig,
  type PasswordHashes,
  readConfig,
} from '@malabar/config';
import { keeper } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { type Changes, changesBetween } from './changes.js';
import { FileWatch, fileMark } from './file-watch.js';
import type { KeeperMetrics } from './metrics.js';
import { Registry } from './registry.js';
import { readRelease, type StoredRelease, writeRelease } from './release-store.js';
import { Releases } from './releases.js';

const DEBOUNCE_MS = 100;
const PERIOD_MS = 2_000;

export interface KeeperOptions {
  /** malabar.yaml; without it the bus has no queues. */
  configFile: string | undefined;
  /** Where release.json is kept. */
  storePath: string;
  /** Variables that secrets may name. */
  env: Environment;
  clock: Clock;
  log: Logger;
  metrics: KeeperMetrics;
}

/** A config file as it was understood. */
interface Read {
  settings: MalabarConfig;
  config: keeper.BusConfig;
  checksum: string;
  passwords: Record<string, string>;
}

const NOTHING: keeper.BusConfig = { release: 0, queues: [] };

/** What is true for the bus: the release in force, taken from the file, and who runs where. */
export class Keeper {
  readonly registry: Registry;
  readonly releases = new Releases(NOTHING);
  readonly #options: KeeperOptions;
  #hashes: PasswordHashes = createPasswordHashes();
  #stored: StoredRelease | undefined;
  #startedWith: MalabarConfig | undefined;
  #watch: FileWatch | undefined;
  #mark = '';
  /** Why the file as it is now is not in force; empty if it is. */
  #refusal = '';

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.registry = new Registry(options.clock);
  }

  /** Takes the file over. Throws a ConfigError with all its faults: there is no good release yet. */
  async start(): Promise<void> {
    await this.#remember();
    const { configFile, clock, log } = this.#options;
    this.#mark = configFile === undefined ? '' : await fileMark(configFile);
    const text = configFile === undefined ? undefined : await this.#text(configFile);
    const read = await this.#read(text);
    this.#startedWith = read.settings;
    await this.#publish(read);
    if (configFile === undefined) return;
    this.#watch = new FileWatch({
      file: configFile,
      clock,
      debounceMs: DEBOUNCE_MS,
      periodMs: PERIOD_MS,
      onChange: () => this.#reload(configFile),
      onEventsLost: (err) => log.warn({ err }, 'no file events; looking every 2 s instead'),
    });
  }

  /** Why the newest state of the file is not in force; undefined if it is. */
  get refusal(): string | undefined {
    return this.#refusal || undefined;
  }

  /** Looks at the file now. */
  async check(): Promise<void> {
    await this.#watch?.check();
  }

  async stop(): Promise<void> {
    this.releases.close();
    await this.#watch?.stop();
  }

  async #remember(): Promise<void> {
    const { storePath, clock, log } = this.#options;
    const stored = await readRelease(storePath);
    if (stored === 'unreadable') {
      // Seconds since 1970 are above any number of changes that came before.
      const release = Math.floor(clock.now() / 1000);
      log.error({ path: storePath, release }, 'the last release is unreadable; numbering goes on');
      this.#stored = { release, checksum: '', passwords: {} };
    } else {
      this.#stored = stored;
    }
    this.#hashes = createPasswordHashes(
      (section, key) => this.#stored?.passwords[`${section}/${key}`],
    );
  }

  async #reload(file: string): Promise<void> {
    const mark = await fileMark(file);
    // A refused file is tried again without a change: the secret that it names may be there now.
    if (mark === this.#mark && this.#refusal === '') return;
    this.#mark = mark;
    try {
      const text = await this.#text(file);
      // Somebody is still writing; the next look will see the whole file.
      if ((await fileMark(file)) !== mark) {
        this.#mark = '';
        return;
      }
      if (text.trim() === '') throw refused(file, 'is empty');
      const read = await this.#read(text);
      await this.#publish(read);
      this.#accepted(read.settings);
    } catch (error) {
      this.#refuse(error);
    }
  }

  async #text(file: string): Promise<string> {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      const { code = 'unknown reason' } = error as NodeJS.ErrnoException;
      const reason = code === 'ENOENT' ? 'there is no such file' : code;
      throw refused(file, `cannot be read: ${reason}`);
    }
  }

  async #read(text: string | undefined): Promise<Read> {
    const { configFile, env } = this.#options;
    const loaded = readConfig(
      text === undefined ? {} : { file: configFile, text, env: withoutSettings(env) },
    );
    const files = await documentsToFiles(loaded, { env, hashes: this.#hashes });
    const config = filesToBusConfig(files);
    const passwords = Object.fromEntries(
      files.flatMap(({ sections }) =>
        sections.flatMap(({ name, entries }) =>
          entries
            .filter(({ type }) => type === 'secret')
            .map(({ key, raw }) => [`${name}/${key}`, raw]),
        ),
      ),
    );
    return { settings: loaded.config, config, checksum: checksumOf(config), passwords };
  }

  async #publish({ config, checksum, passwords }: Read): Promise<void> {
    const { storePath, log, metrics } = this.#options;
    const last = this.#stored ?? { release: 0, checksum: '' };
    const same = last.checksum === checksum;
    const release = same ? last.release : last.release + 1;
    if (same && this.releases.current.release === release) return;
    if (!same) {
      // On disk before anybody hears of it, so that no number is ever used twice.
      const stored = { release, checksum, passwords };
      await writeRelease(storePath, stored);
      this.#stored = stored;
    }
    const changes = changesBetween(this.releases.current, config);
    this.releases.publish({ ...config, release });
    metrics.published(release);
    log.info({ release, ...named(changes) }, `release ${release} published`);
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
    const { release } = this.releases.current;
    for (const fault of reason.split('\n')) log.error({ release, fault }, `refused: ${fault}`);
    log.error(`the configuration file is refused; release ${release} stays in force`);
  }
}

function refused(file: string, message: string): ConfigError {
  return new ConfigError([{ file, line: 0, column: 0, key: '', message }]);
}

// The file is compared with the file: what the environment overrides is no change.
function withoutSettings(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MALABAR_')));
}

function checksumOf(config: keeper.BusConfig): string {
  const bytes = keeper.BusConfig.encode({ ...config, release: 0 }).finish();
  return createHash('sha256').update(bytes).digest('hex');
}

function named(changes: Changes): Partial<Changes> {
  return Object.fromEntries(Object.entries(changes).filter(([, names]) => names.length > 0));
}
