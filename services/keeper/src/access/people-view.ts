import { NOBODY, PEOPLE_DOMAIN, type People, readPeople } from '@malabar/access';
import type { config } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { ConfigStore } from '../config/store.js';

const RETRY_MS = 1_000;

/** One release of the domain of people. */
export interface PeopleRelease {
  release: number;
  /** Secrets as they are. */
  files: readonly config.ConfigFile[];
  people: People;
}

const NONE: PeopleRelease = { release: 0, files: [], people: NOBODY };

export interface PeopleViewOptions {
  store: Pick<ConfigStore, 'domains' | 'content' | 'unseal' | 'onChange'>;
  clock: Clock;
  log: Logger;
}

/** Everybody, as the release in force says; follows the store. */
export class PeopleView {
  readonly #options: PeopleViewOptions;
  #current: PeopleRelease | undefined;
  #loading: Promise<unknown> = Promise.resolve();
  #stopFollowing = (): void => {};
  #stopped = false;

  constructor(options: PeopleViewOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#stopFollowing = this.#options.store.onChange((domain) => {
      if (domain === PEOPLE_DOMAIN) this.#follow();
    });
    await this.refresh();
  }

  stop(): void {
    this.#stopped = true;
    this.#stopFollowing();
  }

  /** Undefined before `start` is through. The same object until something changes. */
  get people(): People | undefined {
    return this.#current?.people;
  }

  /** What the store has in force now. */
  refresh(): Promise<PeopleRelease> {
    // One after the other: an older release must not come in last.
    const loaded = this.#loading.then(() => this.#load());
    this.#loading = loaded.catch(() => {});
    return loaded;
  }

  async #load(): Promise<PeopleRelease> {
    const { store } = this.#options;
    const release = store.domains.get(PEOPLE_DOMAIN)?.record.release ?? 0;
    if (this.#current?.release === release) return this.#current;
    if (release === 0) {
      this.#current = NONE;
      return NONE;
    }
    const sealed = await store.content(PEOPLE_DOMAIN, release);
    const files = await store.unseal(PEOPLE_DOMAIN, sealed);
    this.#current = { release, files, people: readPeople(files).people };
    return this.#current;
  }

  /** Until it has worked, those who are known stay as they are. */
  #follow(): void {
    const { clock, log } = this.#options;
    this.refresh().catch((err) => {
      if (this.#stopped) return;
      log.error({ err }, 'cannot read who is who; what was read last counts');
      clock.after(RETRY_MS, () => !this.#stopped && this.#follow());
    });
  }
}
