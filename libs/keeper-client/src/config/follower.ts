import type { config, sync } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { parseSubscription } from '@malabar/typed-config';
import type { KeeperClientLog } from '../log.js';
import type { ChangeSet } from './changes.js';
import type { Override } from './values.js';
import { EffectiveView } from './view.js';

/** What a program wants of a domain. */
export interface SubscribeOptions {
  domain: string;
  /** `/redis.conf` for the DEFAULT chain of a file, `/redis.conf/web-1` for a section above it; or both as an object. */
  subscriptions: ReadonlyArray<string | (Partial<config.Subscription> & { file: string })>;
  /** Leaves secrets out. */
  withoutSecrets?: boolean;
  /**
   * Takes new values over: called one at a time, with the newest there is. What it throws is the
   * reason for which this release is refused; the program goes on with the values that it had.
   */
  onChange?(changes: ChangeSet, current: EffectiveView): void | Promise<void>;
}

/** A config that is in force or shall be. */
interface Candidate {
  release: number;
  checksum: string;
  source: 'keeper' | 'snapshot';
  /** Made when asked for: what is in force is kept as values, not as the message it came in. */
  config(): config.EffectiveConfig;
}

export interface FollowerEvents {
  log: KeeperClientLog;
  /** What became of a release of the keeper; `refusal` is empty if it is applied. */
  onReport(release: number, refusal: string): void;
  /** New values are in force. */
  onApplied(): void;
}

/**
 * Keeps a program on the newest release of one domain. Latest wins: what comes while `onChange` runs
 * waits, and only the newest of it. A release that does not parse or that `onChange` refuses changes
 * nothing.
 */
export class DomainFollower {
  readonly domain: string;
  readonly asked: { subscriptions: config.Subscription[]; withoutSecrets: boolean };
  readonly ready: Promise<EffectiveView>;
  readonly #onChange: NonNullable<SubscribeOptions['onChange']>;
  readonly #events: FollowerEvents;
  #becomeReady: (view: EffectiveView) => void = () => {};
  #overrides: readonly Override[] = [];
  #applied: { candidate: Candidate; view: EffectiveView } | undefined;
  #applying: Candidate | undefined;
  #pending: Candidate | undefined;
  #refused: { checksum: string; reason: string } | undefined;
  #stopped = false;

  constructor(options: SubscribeOptions, events: FollowerEvents) {
    this.domain = options.domain;
    this.asked = {
      subscriptions: options.subscriptions.map(subscription),
      withoutSecrets: options.withoutSecrets ?? false,
    };
    this.#onChange = options.onChange ?? (() => {});
    this.#events = events;
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
  }

  /** The values in force. */
  get current(): EffectiveView | undefined {
    return this.#applied?.view;
  }

  /** The config in force without what the operator has laid over it, for a snapshot. */
  get config(): config.EffectiveConfig | undefined {
    return this.#applied?.candidate.config();
  }

  /** What a keeper should know when the stream opens. */
  hello(): sync.DomainSubscription {
    const { release = 0, checksum = '' } = this.#newest ?? {};
    return { domain: this.domain, ...this.asked, release, checksum };
  }

  /** A notice of the keeper; true if its content has to be pulled. */
  noticed({ release, checksum, config }: sync.Notice): boolean {
    if (config !== undefined) {
      this.offer(config, 'keeper');
      return false;
    }
    const newest = this.#newest;
    if (newest?.checksum === checksum) {
      this.#confirmed(newest, release);
      return false;
    }
    if (this.#refused?.checksum !== checksum) return true;
    this.#events.onReport(release, this.#refused.reason);
    return false;
  }

  /** Takes a config over, now or once the one before is done with. */
  offer(config: config.EffectiveConfig, source: Candidate['source']): void {
    const { release, checksum } = config;
    this.#take({ release, checksum, source, config: () => config });
  }

  /** Lays other values of the operator over what is in force and what will be. */
  override(overrides: readonly Override[]): void {
    this.#overrides = overrides;
    const newest = this.#newest;
    if (newest !== undefined) this.#take(newest);
  }

  /** Calls nobody any more. */
  stop(): void {
    this.#stopped = true;
    this.#pending = undefined;
  }

  /** The keeper offers what we have already, perhaps as another release. */
  #confirmed(newest: Candidate, release: number): void {
    const same = newest.source === 'keeper' && newest.release === release;
    if (!same) this.offer({ ...newest.config(), release }, 'keeper');
    else if (newest === this.#applied?.candidate) this.#events.onReport(release, '');
  }

  #take(candidate: Candidate): void {
    this.#pending = candidate;
    if (this.#applying === undefined && !this.#stopped) void this.#work();
  }

  get #newest(): Candidate | undefined {
    return this.#pending ?? this.#applying ?? this.#applied?.candidate;
  }

  async #work(): Promise<void> {
    while (this.#pending !== undefined) {
      const candidate = this.#pending;
      this.#pending = undefined;
      this.#applying = candidate;
      const refusal = await this.#apply(candidate);
      this.#applying = undefined;
      if (this.#stopped) return;
      if (candidate.source === 'keeper') this.#events.onReport(candidate.release, refusal);
    }
  }

  /** Returns why it is refused; empty if it is applied. */
  async #apply(candidate: Candidate): Promise<string> {
    const before = this.#applied?.view;
    const { release, checksum, source } = candidate;
    try {
      const view = this.#view(candidate, before);
      const changes = view.changesFrom(before);
      if (before === undefined || changes.size > 0) await this.#onChange(changes, view);
      const config = (): config.EffectiveConfig => view.toConfig();
      this.#applied = { candidate: { release, checksum, source, config }, view };
      this.#refused = undefined;
      this.#tell(view, changes, before);
      return '';
    } catch (error) {
      const reason = String((error as Error)?.message ?? error);
      this.#refused = { checksum, reason };
      const { domain } = this;
      this.#events.log.error({ domain, release, reason }, 'release refused; going on as before');
      return reason || 'refused without a reason';
    }
  }

  /** An override that does not fit is worth an error, but not the release below it. */
  #view(candidate: Candidate, before: EffectiveView | undefined): EffectiveView {
    const { source } = candidate;
    const config = candidate.config();
    const overrides = this.#overrides;
    const plain = (): EffectiveView => EffectiveView.of(config, { source, before });
    if (overrides.length === 0) return plain();
    try {
      return EffectiveView.of(config, { source, overrides, before });
    } catch (error) {
      const view = plain();
      const reason = (error as BusError).message;
      this.#events.log.error({ domain: this.domain, reason }, 'override file ignored');
      return view;
    }
  }

  #tell(view: EffectiveView, changes: ChangeSet, before: EffectiveView | undefined): void {
    if (this.#stopped) return;
    const { domain, release, source, overridden } = view;
    if (before === undefined || changes.size > 0 || before.source !== source) {
      const fields = { domain, release, source, changes: changes.size };
      this.#events.log.info(
        overridden.length > 0 ? { ...fields, overridden } : fields,
        'configuration applied',
      );
    }
    this.#becomeReady(view);
    this.#events.onApplied();
  }
}

function subscription(given: SubscribeOptions['subscriptions'][number]): config.Subscription {
  if (typeof given === 'string') {
    const path = parseSubscription(given);
    if (path !== undefined) return { ...path, verbatim: false };
    const text = `'${given}' is no subscription: it is /file.conf or /file.conf/section`;
    throw new BusError('INVALID', text);
  }
  const { file, section = '', verbatim = false } = given;
  if (file === '') throw new BusError('INVALID', 'a subscription needs a file');
  return { file, section, verbatim };
}
