import type { Duration } from '../duration.js';
import type { Store } from '../idempotent/store.js';

/** How a worker works. */
export interface WorkerOptions {
  /** Jobs of each task that it does at once; default 10. */
  concurrency?: number;
  /** Serves these topics, as `queue/topic`, instead of all that are registered. */
  only?: readonly string[];
  /**
   * `create` (the default) makes the topics that are missing, through the keeper. `expect` leaves that
   * to others and never asks the keeper; then a missing topic is an error.
   */
  topics?: 'create' | 'expect';
  /** Changes topics that are there with other settings, instead of refusing to run. */
  replace?: boolean;
  /** How long a handler may take, however long the topic's own timeout is; default 10 minutes. */
  timeout?: Duration;
  /** How long running handlers may take to end when it stops; default 30 s. */
  drain?: Duration;
  /** How it is called in attempt histories; default `<host>-<pid>`. */
  name?: string;
  /** Remembers which jobs are done, so that none is done twice even if its answer is lost. */
  store?: Store;
}

/** Does tasks. */
export interface Worker {
  /** Handlers at work now. */
  readonly running: number;
  /**
   * Serves the tasks until `stop`. Rejects with a MalabarError that somebody has to mend: a topic
   * that cannot be made, a wrong password. The bus being away is none: it waits.
   */
  run(): Promise<void>;
  /** Takes no more jobs, lets those that run end within `drain`, gives the rest back. */
  stop(): Promise<void>;
}
