import type { sync } from '@malabar/contracts';
import type { Clock } from '@malabar/core';

// A report is in no hurry: the keeper tells the other nodes of a change first, and what is published
// faster than this is skipped for something newer.
const DELAY_MS_MIN = 50;
const DELAY_MS_MAX = 100;

export interface ReportsOptions {
  clock: Clock;
  random: () => number;
  send(report: sync.Report): void;
}

/** What became of releases, told once on each stream: a notice that is repeated is no news. */
export class Reports {
  readonly #options: ReportsOptions;
  /** The release last told of each domain. */
  readonly #told = new Map<string, number>();
  #waiting: sync.Report[] = [];
  #cancel: (() => void) | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** There is a new stream, and nothing has been told on it. */
  forget(): void {
    this.#told.clear();
    this.#waiting = [];
  }

  add(report: sync.Report): void {
    const { domain, release, refusal } = report;
    const before = this.#told.get(domain);
    if (before === release) return;
    this.#told.set(domain, release);
    // What runs stays worth telling when something newer is refused.
    const isOutdated = (one: sync.Report): boolean =>
      one.domain === domain && (refusal === '' || one.refusal !== '');
    this.#waiting = [...this.#waiting.filter((one) => !isOutdated(one)), report];
    // By the first one the keeper learns that this node reports.
    if (before === undefined) this.#send();
    else this.#sendLater();
  }

  stop(): void {
    this.#cancel?.();
  }

  #sendLater(): void {
    const { clock, random } = this.#options;
    const delayMs = DELAY_MS_MIN + Math.round((DELAY_MS_MAX - DELAY_MS_MIN) * random());
    this.#cancel ??= clock.after(delayMs, () => this.#send());
  }

  #send(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const report of this.#waiting) this.#options.send(report);
    this.#waiting = [];
  }
}
