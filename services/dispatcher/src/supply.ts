import type { Delivery } from './delivery.js';
import { LeaseBuffer } from './lease-buffer.js';
import type { RunnerContext, TopicSettings } from './runner.js';
import type { Subscriber, Subscription } from './storage-link.js';

export interface SupplyOptions {
  settings: TopicSettings;
  context: RunnerContext;
  /** What has crashed a consumer before waits in `suspects`. */
  apart?: boolean;
  /** How many deliveries or requests of the runner may be under way; with none, what comes goes back. */
  room(): number;
  /** Deliveries wait in the buffer. */
  onLeased(): void;
  /** This dispatcher's share of the topic has changed. */
  onShared(): void;
  /** The leases of everything under way are gone. */
  onLost(): void;
}

/** What a runner gets from storage: its place on the stream, its share, and the leases that wait. */
export class Supply implements Subscriber {
  readonly buffer: LeaseBuffer;
  /** Empty unless the runner wants them apart. */
  readonly suspects: LeaseBuffer;
  /** Nothing more is wanted. */
  retired = false;
  #settings: TopicSettings;
  #subscription: Subscription | undefined;
  #share: number | undefined;
  #refusal = '';

  constructor(private readonly options: SupplyOptions) {
    this.#settings = options.settings;
    this.buffer = new LeaseBuffer(options.context.link);
    this.suspects = new LeaseBuffer(options.context.link);
  }

  get settings(): TopicSettings {
    return this.#settings;
  }

  get queue(): string {
    return this.#settings.queue;
  }

  get topic(): string {
    return this.#settings.config.name;
  }

  /** Deliveries that this dispatcher may run at once: until storage has said how many, all. */
  get share(): number {
    return this.#share ?? this.#settings.config.concurrency;
  }

  /** Whether anything may be delivered, as far as the configuration goes. */
  get open(): boolean {
    return !this.retired && this.#settings.hold === '';
  }

  /** Why storage gives nothing; empty if it may. */
  get blocked(): string {
    if (this.#settings.hold !== '') return this.#settings.hold;
    if (this.#refusal !== '') return this.#refusal;
    return this.options.context.link.connected ? '' : 'not connected to storage';
  }

  /** New settings for the same topic. */
  reconfigure(settings: TopicSettings): void {
    const before = this.#settings.config;
    this.#settings = settings;
    // Leases were granted for the old timeout: new ones shall last for the new one.
    if (before.timeoutMs !== settings.config.timeoutMs) this.release();
  }

  /** Subscribes, or changes how many leases to hold at once. */
  subscribe(credits: number): void {
    if (this.#subscription !== undefined) this.#subscription.credits(credits);
    else this.#subscription = this.options.context.link.subscribe(this, credits);
  }

  unsubscribe(): void {
    this.#subscription?.end();
    this.#subscription = undefined;
  }

  /** Gives back to storage what waits. */
  release(): void {
    this.buffer.release();
    this.suspects.release();
  }

  // --- what storage says --------------------------------------------------------------------------

  leased(deliveries: Delivery[]): void {
    const isSuspect = ({ hasCrashed }: Delivery): boolean => hasCrashed && !!this.options.apart;
    if (deliveries.some(isSuspect)) {
      this.suspects.push(deliveries.filter(isSuspect));
      this.buffer.push(deliveries.filter((delivery) => !isSuspect(delivery)));
    } else this.buffer.push(deliveries);
    this.#refusal = '';
    if (this.options.room() === 0) this.release();
    else this.options.onLeased();
  }

  shared(concurrency: number): void {
    this.#share = concurrency;
    this.#refusal = '';
    this.options.onShared();
  }

  refused(reason: string): void {
    this.#refusal = reason;
    this.options.context.log.warn({ queue: this.queue, topic: this.topic }, reason);
  }

  lost(): void {
    this.buffer.clear();
    this.suspects.clear();
    this.options.onLost();
  }
}
