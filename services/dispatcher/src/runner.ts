import { type dispatcher, keeper } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { TopicMetrics } from './metrics.js';
import type { StorageLink } from './storage-link.js';

/** A topic with what its delivery needs to know of its queue. */
export interface TopicSettings {
  queue: string;
  config: keeper.TopicConfig;
  /** Why nothing may be delivered now: the topic is paused, this dispatcher is drained. Empty if it may. */
  hold: string;
  /** Of the topic, else of its queue; empty if workers need no password. */
  passwordHash: string;
}

/** What every runner is given. */
export interface RunnerContext {
  link: StorageLink;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: TopicMetrics;
  /** Leases to hold waiting for each one that may run. */
  prefetch: number;
}

/** Delivers one topic, from its subscription to the outcomes. */
export interface Runner {
  /** Deliveries whose attempts have not ended. */
  readonly running: number;
  /** New settings for the same topic; running attempts end under the old ones. */
  reconfigure(settings: TopicSettings): void;
  /** Keeps leases and deadlines; called a few times a second. */
  tick(now: number): void;
  status(): dispatcher.TargetStatus;
  /** Takes no more and gives back what has not started. Running attempts go on. */
  retire(): void;
  /** Gives back what still runs; its outcome will not count. Resolves when nothing of it goes on. */
  abandon(): Promise<void>;
  /** Ends connections. Called once, after `retire`. */
  close(): Promise<void>;
}

/** Calls back when the last running attempt of a retired runner has ended. */
export type OnIdle = () => void;

/** Whether a yes must say when and who: somebody is told of it. */
export function isDoneTold({ result }: keeper.TopicConfig): boolean {
  return result?.of.includes(keeper.ResultStatus.DONE) ?? false;
}
