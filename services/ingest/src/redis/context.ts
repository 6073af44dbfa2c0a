import type { Clock } from '@malabar/core';
import type { AccessRules } from '../access.js';
import type { Intake } from '../intake.js';
import type { Settler } from '../settler.js';
import type { StorageClient } from '../storage-client.js';

/** Figures for INFO. */
export interface ServerFigures {
  instanceId: string;
  startedAtMs: number;
  connections(): number;
  accepted(): number;
  refused(): number;
}

/** What the commands of the redis dialect work with. */
export interface RedisContext {
  intake: Intake;
  rules: AccessRules;
  storage: StorageClient;
  settler: Settler;
  clock: Clock;
  figures: ServerFigures;
  /** Queues without a password are open on this listener. */
  open: boolean;
}
