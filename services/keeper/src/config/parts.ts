import type { config } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Backend } from '../backend.js';
import type { AuditLog } from './audit.js';
import type { Commit } from './commits.js';
import type { ContentRules } from './content-rules.js';
import type { Contents } from './contents.js';
import type { Keyring } from './keyring.js';
import type { Secrets } from './secrets.js';
import type { DomainView } from './view.js';

/** Asks every keeper for its nodes. */
export type Nodes = (request: config.ListNodesRequest) => Promise<config.ListNodesResponse>;

/** What the operations on domains work with. */
export interface Parts {
  backend: Backend;
  clock: Clock;
  commit: Commit;
  view: DomainView;
  contents: Contents;
  keyring: Keyring;
  secrets: Secrets;
  audit: AuditLog;
  rules: ContentRules;
  /** Releases that stay restorable, where the domain does not say. */
  history: number;
  nodes: Nodes;
}
