import * as contracts from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { CallContext, Implementation, ServiceDefinition } from '@malabar/rpc';
import { FakeClock } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { authenticator } from './authenticator.js';
import { guard, type Rules } from './guard.js';
import { callWith, grants, peopleOf, person, sessionOf } from './people.suite.js';
import { allowed } from './principal.js';
import type { RoleName } from './role.js';
import * as rules from './rules.js';

/**
 * Every method of every contract with who may call it on behalf of the system shop, which owns the
 * domain, queue and names in REQUEST. `viewer@shop` is a viewer of shop or of all systems,
 * `viewer@*` of all systems only, `viewer@any` of any system.
 */
const MATRIX: Record<string, Record<string, string>> = {
  AccessService: {
    login: 'anybody',
    whoAmI: 'known',
    listUsers: 'known',
    putUser: 'known',
    deleteUser: 'admin@*',
    createToken: 'known',
    listTokens: 'known',
    revokeToken: 'known',
  },
  ConfigService: {
    listDomains: 'viewer@any',
    getDomain: 'viewer@shop',
    putDomain: 'admin@shop',
    deleteDomain: 'admin@shop',
    getFiles: 'viewer@shop',
    getEffective: 'viewer@shop',
    diff: 'viewer@shop',
    editDraft: 'developer@shop',
    discardDraft: 'developer@shop',
    validate: 'developer@shop',
    publish: 'operator@shop',
    promote: 'operator@shop',
    abort: 'operator@shop',
    rollback: 'operator@shop',
    listReleases: 'viewer@shop',
    listAudit: 'viewer@shop',
    listNodes: 'viewer@shop',
    rotateSecretKey: 'admin@*',
  },
  SyncService: { sync: 'node@any' },
  DiscoveryService: {
    register: 'node@shop',
    deregister: 'node@shop',
    resolve: 'node,viewer@any',
    watch: 'node,viewer@any',
  },
  ElectionService: {
    acquire: 'node@shop',
    renew: 'node@shop',
    release: 'node@shop',
    observe: 'node,viewer@any',
  },
  StorageService: {
    append: 'internal',
    deliver: 'internal',
    fetch: 'internal',
    settle: 'internal',
    listQueues: 'viewer@shop',
    listJobs: 'viewer@shop',
    getJob: 'viewer@shop',
    replay: 'operator@shop',
    discard: 'operator@shop',
    discardDead: 'operator@shop',
    verify: 'viewer@shop',
    openBatch: 'internal',
    closeBatch: 'internal',
    getBatch: 'viewer@shop',
    listBatches: 'viewer@any',
    abandonBatches: 'operator@shop',
  },
  DispatcherService: {
    listTargets: 'viewer@any',
    listRuns: 'viewer@any',
    watchRun: 'viewer@shop',
    killRun: 'operator@shop',
    drain: 'operator@*',
    resume: 'operator@*',
  },
  WorkerService: { work: 'anybody' },
  SchedulerService: {
    listSchedules: 'viewer@shop',
    getSchedule: 'viewer@shop',
    listFires: 'viewer@shop',
    preview: 'viewer,developer@any',
    trigger: 'operator@shop',
    backfill: 'operator@shop',
    resume: 'operator@shop',
    testRun: 'operator@shop',
    listRuns: 'viewer@shop',
  },
  MetricsService: { gather: 'viewer@*' },
  IngestService: {
    submit: 'anybody',
    submitBatch: 'anybody',
    submitStream: 'anybody',
    openBatch: 'anybody',
    closeBatch: 'anybody',
    getBatch: 'anybody',
  },
  SourceService: { listSources: 'viewer@any' },
};

const systemOf = (name: string): string => (name === 'orders' ? 'shop' : '');

const RULES: Record<string, Rules<ServiceDefinition>> = {
  AccessService: rules.accessRules,
  ConfigService: rules.configRules(systemOf),
  SyncService: rules.syncRules,
  DiscoveryService: rules.discoveryRules,
  ElectionService: rules.electionRules,
  StorageService: rules.storageRules(systemOf),
  DispatcherService: rules.dispatcherRules(systemOf),
  WorkerService: rules.workerRules,
  SchedulerService: rules.schedulerRules(systemOf),
  MetricsService: rules.metricsRules,
  IngestService: rules.ingestRules,
  SourceService: rules.sourceRules(systemOf),
} as Record<string, Rules<never>>;

const REQUEST = {
  domain: 'orders',
  queue: 'orders',
  schedule: 'orders',
  settings: { system: 'shop' },
  settingsRevision: 1,
  name: 'shop.leader',
  instances: [{ service: 'shop.checkout', id: '1' }],
};

const INCLUDED: Record<RoleName, RoleName[]> = {
  node: ['node', 'admin'],
  viewer: ['viewer', 'developer', 'operator', 'admin'],
  developer: ['developer', 'operator', 'admin'],
  operator: ['operator', 'admin'],
  admin: ['admin'],
};

const SYSTEMS = ['shop', 'bank', '*'];
const PERSONS = (Object.keys(INCLUDED) as RoleName[]).flatMap((role) =>
  SYSTEMS.map((system) => `${role}@${system}`),
);
const CALLERS = ['stranger', 'nothing', ...PERSONS, 'bus'];

/** Whom a cell of the matrix lets in. */
function admitted(cell: string): string[] {
  if (cell === 'anybody') return CALLERS;
  if (cell === 'known') return CALLERS.filter((caller) => caller !== 'stranger');
  if (cell === 'internal') return ['bus'];
  const [roles = '', system = ''] = cell.split('@');
  const systems = system === 'any' ? SYSTEMS : [system, '*'];
  const held = roles.split(',').flatMap((role) => INCLUDED[role as RoleName]);
  return CALLERS.filter((caller) => {
    const [role = '', where = ''] = caller.split('@');
    return caller === 'bus' || (held.includes(role as RoleName) && systems.includes(where));
  });
}

const clock = new FakeClock();
const persons = [person('nothing'), ...PERSONS.map((name) => person(name, swap(name)))];
const people = peopleOf(persons);

/** `shop:viewer` for `viewer@shop`. */
function swap(name: string): string {
  return name.split('@').reverse().join(':');
}

function callOf(caller: string): CallContext {
  if (caller === 'stranger') return callWith();
  if (caller === 'bus') return callWith('of the bus', { trusted: true });
  const user = persons.find(({ name }) => name === caller);
  return callWith(user && sessionOf(user, clock.now() + 1_000));
}

type AnyMethod = (request: unknown, context: CallContext) => unknown;

/** Whether the call reaches the implementation. */
async function reaches(definition: ServiceDefinition, name: string, call: CallContext) {
  const method = definition.methods[name];
  let reached = false;
  const answer = {
    ...REQUEST,
    queues: [],
    targets: [],
    schedules: [],
    sources: [],
    runs: [],
    domains: [],
    entries: [],
    nodes: [],
    batches: [],
    batch: { thenQueue: 'orders' },
  };
  const run = method?.responseStream
    ? async function* () {
        reached = true;
        yield answer;
      }
    : async () => {
        reached = true;
        return answer;
      };
  const guarded = guard(
    definition,
    { [name]: run } as unknown as Implementation<ServiceDefinition>,
    RULES[definition.name] as Rules<ServiceDefinition>,
    authenticator(() => people, clock),
  ) as unknown as Record<string, AnyMethod>;
  try {
    const result = await guarded[name]?.(REQUEST, call);
    if (method?.responseStream) for await (const _ of result as AsyncIterable<unknown>);
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    // What is filtered away behind the implementation counts as refused too.
    return false;
  }
  return reached;
}

/** Every contract there is. */
const DEFINITIONS = Object.values(contracts)
  .flatMap((namespace) => Object.entries(namespace))
  .filter(([name]) => /^\w+ServiceDefinition$/.test(name))
  .map(([, definition]) => definition as unknown as ServiceDefinition);

test('every method of every contract has a rule and a row in the matrix', () => {
  const methods = DEFINITIONS.flatMap(({ name, methods }) =>
    Object.keys(methods).map((method) => `${name}.${method}`),
  );
  const keys = (table: Record<string, object>): string[] =>
    Object.entries(table).flatMap(([name, row]) =>
      Object.keys(row).map((method) => `${name}.${method}`),
    );
  expect(keys(MATRIX).sort()).toEqual([...methods].sort());
  expect(keys(RULES).sort()).toEqual([...methods].sort());
});

describe.each(DEFINITIONS)('$name', (definition) => {
  const row = Object.entries(MATRIX[definition.name] ?? {});
  test.each(row)('%s is for %s', async (method, cell) => {
    const entered: string[] = [];
    for (const caller of CALLERS) {
      if (await reaches(definition, method, callOf(caller))) entered.push(caller);
    }
    expect(entered).toEqual(admitted(cell));
  });
});

describe('domains of the bus itself', () => {
  const { publish, getFiles, putDomain } = rules.configRules(() => 'shop') as unknown as Record<
    string,
    (request: object) => unknown
  >;
  const { ADMIN, OPERATOR, VIEWER } = contracts.access.Role;

  test('belong to no system, whatever their settings say', () => {
    for (const domain of ['malabar', 'malabar.discovery']) {
      expect(publish?.({ domain })).toEqual({ roles: [OPERATOR], systems: ['*'] });
      expect(getFiles?.({ domain })).toEqual({ roles: [VIEWER], systems: ['*'] });
      expect(putDomain?.({ domain, settings: { system: 'shop' } })).toEqual({
        roles: [ADMIN],
        systems: ['*'],
      });
    }
    expect(publish?.({ domain: 'malabarista' })).toEqual({ roles: [OPERATOR], systems: ['shop'] });
  });

  test('people are for admins of everything only, also to read and to receive', () => {
    for (const rule of [publish, getFiles]) {
      expect(rule?.({ domain: 'malabar.people' })).toEqual({ roles: [ADMIN], systems: ['*'] });
    }
    const node = { name: 'n', grants: [{ system: '*', role: contracts.access.Role.NODE }] };
    expect(rules.mayReceiveDomain(node, 'malabar.people', systemOf)).toBe(false);
    expect(rules.mayReceiveDomain(node, 'malabar', systemOf)).toBe(true);
  });
});

test.each(['listDomains', 'listAudit', 'listNodes'] as const)(
  '%s tells of visible domains only',
  (list) => {
    const { answer } = rules.configRules(systemOf)[list] as {
      answer(response: object, may: (role: number, system: string) => boolean): object;
    };
    const names = ['orders', 'nobodys', 'malabar', 'malabar.people'];
    const all = {
      domains: names.map((name) => ({ name })),
      entries: names.map((domain) => ({ domain })),
      nodes: names.map((domain) => ({ domain })),
    };
    const seenBy = (...held: string[]): string[] => {
      const persons = { grants: grants(...held) };
      const seen = answer(all, (role, system) => allowed(persons, role, system)) as typeof all;
      const key = { listDomains: 'domains', listAudit: 'entries', listNodes: 'nodes' }[list];
      return seen[key as 'nodes'].map(
        (one) => one.domain ?? (one as unknown as { name: string }).name,
      );
    };
    expect(seenBy('shop:viewer')).toEqual(['orders']);
    expect(seenBy('*:operator')).toEqual(['orders', 'nobodys', 'malabar']);
    expect(seenBy('*:admin')).toEqual(names);
  },
);

test('a reveal is for operators', () => {
  const { getFiles } = rules.configRules(systemOf) as { getFiles: (request: object) => unknown };
  const { OPERATOR } = contracts.access.Role;
  const need = { roles: [OPERATOR], systems: ['shop'] };
  expect(getFiles({ domain: 'orders', reveal: true })).toEqual(need);
});

test('a domain moves between systems with the consent of both', () => {
  const { putDomain } = rules.configRules(systemOf) as { putDomain: (request: object) => unknown };
  const { ADMIN } = contracts.access.Role;
  const moved = { domain: 'orders', settings: { system: 'bank' }, settingsRevision: 3 };
  expect(putDomain(moved)).toEqual({ roles: [ADMIN], systems: ['shop', 'bank'] });
  expect(putDomain({ ...moved, settingsRevision: 0 })).toEqual({
    roles: [ADMIN],
    systems: ['bank'],
  });
});

test.each([
  ['storage', 'admin@*'],
  ['shard/orders/0', 'admin@*'],
  ['checkout', 'node@*'],
  ['shop.checkout', 'node@shop'],
  ['shop/leader', 'node@shop'],
])('the name %s can be taken by %s', async (name, cell) => {
  const { acquire } = rules.electionRules as { acquire: (request: object) => unknown };
  const { register } = rules.discoveryRules as { register: (request: object) => unknown };
  const [role = '', system = ''] = cell.split('@');
  const wanted = {
    roles: [contracts.access.Role[role.toUpperCase() as 'NODE']],
    systems: [system],
  };
  expect(acquire({ name })).toEqual(wanted);
  expect(register({ instances: [{ service: name }] })).toEqual(wanted);
});
