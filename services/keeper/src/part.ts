import type { Binding } from '@malabar/rpc';
import type { ModuleContext } from '@malabar/runtime';
import type { KeeperAccess } from './access/part.js';
import type { Backend } from './backend.js';
import type { ConfigStore } from './config/store.js';
import type { Discovery } from './discovery/discovery.js';

/** What every part of the keeper works with. */
export interface KeeperContext extends ModuleContext {
  backend: Backend;
  store: ConfigStore;
  discovery: Discovery;
  /** Who calls, and what he may: every contract is guarded by it. */
  access: KeeperAccess;
}

/** A part of the keeper that runs: what it serves, and how it ends. */
export interface KeeperPart {
  bindings?: readonly Binding[];
  /** Why it cannot serve now; empty if it can. */
  notReady?(): string[];
  /** Takes nothing new and lets go of those who watch. */
  drain?(): Promise<void>;
  stop?(): Promise<void> | void;
}

/** Makes a part; those of the list before it run already. */
export type CreatePart = (context: KeeperContext) => KeeperPart | Promise<KeeperPart>;
