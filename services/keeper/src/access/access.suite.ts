import { type Author, authorOf, configRules, guard, PEOPLE_DOMAIN } from '@malabar/access';
import { access, config } from '@malabar/contracts';
import { bind, type CallOptions, type Client, local } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory, type MemoryEntry } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Backend } from '../backend.js';
import { createConfigService } from '../config/service.js';
import type { ConfigStore } from '../config/store.js';
import { stage } from '../config/store.suite.js';
import { openAccess } from './part.js';

/** A keeper's people and configuration, to be called as anybody. */
export interface Office {
  store: ConfigStore;
  clock: FakeClock;
  entries: MemoryEntry[];
  access: Client<access.AccessServiceDefinition>;
  config: Client<config.ConfigServiceDefinition>;
  /** Makes a user with the password `pw of <name>` and these rights. */
  hire(name: string, ...grants: access.Grant[]): Promise<void>;
  /** Call options that show a session of the user. */
  as(name: string): Promise<CallOptions>;
  /** Everything that the audit says, as text. */
  audit(): Promise<string[]>;
}

export const ADMIN = { system: '*', role: access.Role.ADMIN };
export const VIEWER = { system: 'shop', role: access.Role.VIEWER };
export const DEVELOPER = { system: 'shop', role: access.Role.DEVELOPER };
export const OPERATOR = { system: 'shop', role: access.Role.OPERATOR };

export function passwordOf(name: string): string {
  return `pw of ${name}`;
}

/** Call options that show a token. */
export function showing(token: string): CallOptions {
  return { metadata: { authorization: `Bearer ${token}` } };
}

/** Opens the office of one keeper on a backend. */
export async function office(backend: Backend, clock = new FakeClock()): Promise<Office> {
  const { store } = await stage(backend, { clock, settings: { system: 'shop' } });
  const { log, entries } = logToMemory<Logger>();
  const opened = await openAccess({ clock, log }, store);
  onTestFinished(() => opened.stop());
  const { ConfigServiceDefinition: definition } = config;
  const service = createConfigService(store, authorOf);
  const rules = configRules(opened.systemOf);
  const guarded = guard(definition, service, rules, opened.authenticate);
  const client = local<access.AccessServiceDefinition>(opened.binding);
  return {
    store,
    clock,
    entries,
    access: client,
    config: local(bind(definition, guarded, { access: 'public' })),
    async hire(name, ...grants) {
      const user = { name, grants, disabled: false };
      await client.putUser({ user, password: passwordOf(name) });
    },
    async as(name) {
      const { token } = await client.login({ user: name, password: passwordOf(name) });
      return showing(token);
    },
    async audit() {
      const request = { domain: PEOPLE_DOMAIN, cursor: '', limit: 1_000 };
      const { entries: all } = await store.listAudit(request);
      return all.map((entry) => JSON.stringify(entry));
    },
  };
}

/** Sets a key of people as an admin would who goes around AccessService. */
export function setPeople(
  { store }: Office,
  place: { file: string; section: string; key: string },
  raw: string,
  { type = '', by = { name: 'ann', from: 'x' } }: { type?: string; by?: Author } = {},
): Promise<config.PublishResponse> {
  const operation = { $case: 'setKey' as const, value: { ...place, type, raw } };
  return store.publish(
    {
      domain: PEOPLE_DOMAIN,
      expectedRelease: store.getDomain(PEOPLE_DOMAIN).release,
      draftRevision: 0,
      operations: [{ operation }],
      note: '',
      canary: undefined,
    },
    by,
  );
}
