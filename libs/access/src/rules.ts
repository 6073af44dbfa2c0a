import {
  access,
  type config,
  type discovery,
  type dispatcher,
  type election,
  type ingest,
  type metrics,
  type scheduler,
  type sources,
  type storage,
  type sync,
} from '@malabar/contracts';
import { BusError, SERVICE_NAMES } from '@malabar/core';
import { type May, type Need, need, type Rules, somewhere } from './guard.js';
import { PEOPLE_DOMAIN } from './people.js';
import { allowed, type Principal } from './principal.js';
import { EVERYWHERE } from './role.js';

/** Who may call what: the one place to look for it. */

const { NODE, VIEWER, DEVELOPER, OPERATOR, ADMIN } = access.Role;

/** The system that owns a domain or a queue; empty if none does or nothing is known of it. */
export type SystemOf = (name: string) => string;

/** The bus's own domains belong to no system: their rights are those on `*`. */
export function isBuiltIn(domain: string): boolean {
  return domain === 'malabar' || domain.startsWith('malabar.');
}

/** Who holds a role in a domain. What is known of people is for those who decide about people. */
export function needInDomain(role: access.Role, domain: string, systemOf: SystemOf): Need {
  if (domain === PEOPLE_DOMAIN) return need(ADMIN, EVERYWHERE);
  return need(role, isBuiltIn(domain) ? EVERYWHERE : systemOf(domain));
}

/** Whether a caller may receive a domain as a node, with the secrets that it subscribes to. */
export function mayReceiveDomain(
  principal: Principal,
  domain: string,
  systemOf: SystemOf,
): boolean {
  const { roles, systems } = needInDomain(NODE, domain, systemOf);
  const holds = (system: string): boolean => roles.some((role) => allowed(principal, role, system));
  return (systems as string[]).every(holds);
}

export function configRules(systemOf: SystemOf): Rules<config.ConfigServiceDefinition> {
  const sees = (may: May, domain: string): boolean => {
    const { roles, systems } = needInDomain(VIEWER, domain, systemOf);
    return (systems as string[]).every((system) => roles.some((role) => may(role, system)));
  };
  const inDomain =
    (role: access.Role) =>
    ({ domain }: { domain: string }): Need =>
      domain === '' ? somewhere(role) : needInDomain(role, domain, systemOf);
  return {
    listDomains: {
      need: somewhere(VIEWER),
      answer: ({ domains }, may) => ({ domains: domains.filter(({ name }) => sees(may, name)) }),
    },
    listAudit: {
      need: inDomain(VIEWER),
      answer: ({ entries, cursor }, may) => ({
        entries: entries.filter(({ domain }) => sees(may, domain)),
        cursor,
      }),
    },
    listNodes: {
      need: inDomain(VIEWER),
      answer: ({ nodes, silentKeepers }, may) => ({
        nodes: nodes.filter(({ domain }) => sees(may, domain)),
        silentKeepers,
      }),
    },
    getDomain: inDomain(VIEWER),
    getFiles: ({ domain, reveal }) => needInDomain(reveal ? OPERATOR : VIEWER, domain, systemOf),
    getEffective: inDomain(VIEWER),
    diff: inDomain(VIEWER),
    listReleases: inDomain(VIEWER),
    validate: inDomain(DEVELOPER),
    editDraft: inDomain(DEVELOPER),
    discardDraft: inDomain(DEVELOPER),
    publish: inDomain(OPERATOR),
    promote: inDomain(OPERATOR),
    abort: inDomain(OPERATOR),
    rollback: inDomain(OPERATOR),
    // A domain that moves is given by one system and taken by the other.
    putDomain: ({ domain, settings, settingsRevision }) => {
      if (isBuiltIn(domain)) return need(ADMIN, EVERYWHERE);
      const to = settings?.system ?? '';
      return settingsRevision === 0 ? need(ADMIN, to) : need(ADMIN, systemOf(domain), to);
    },
    deleteDomain: inDomain(ADMIN),
    rotateSecretKey: need(ADMIN, EVERYWHERE),
  };
}

/** Which domains a node gets is asked for each of them: mayReceiveDomain. */
export const syncRules: Rules<sync.SyncServiceDefinition> = { sync: somewhere(NODE) };

/** Names under which only the bus itself runs and leads. */
const OUR_NAMES: readonly string[] = ['malabar', ...SERVICE_NAMES, 'dashboard', 'shard'];

/** `shop.checkout` and `shop/leader` are the system shop's; `checkout` is nobody's. */
function needForName(name: string): Need {
  const first = /^[^./]*/.exec(name)?.[0] ?? '';
  if (OUR_NAMES.includes(first)) return need(ADMIN, EVERYWHERE);
  return need(NODE, first === name ? EVERYWHERE : first);
}

function needForNames(names: readonly string[]): Need {
  const needs = names.map(needForName);
  const strictest = needs.some(({ roles }) => roles.includes(ADMIN)) ? ADMIN : NODE;
  const systems = needs.flatMap((each) => each.systems);
  return { roles: [strictest], systems };
}

export const discoveryRules: Rules<discovery.DiscoveryServiceDefinition> = {
  register: ({ instances }) => needForNames(instances.map(({ service }) => service)),
  deregister: ({ instances }) => needForNames(instances.map(({ service }) => service)),
  resolve: somewhere(NODE, VIEWER),
  watch: somewhere(NODE, VIEWER),
};

export const electionRules: Rules<election.ElectionServiceDefinition> = {
  acquire: ({ name }) => needForName(name),
  renew: ({ name }) => needForName(name),
  release: ({ name }) => needForName(name),
  observe: somewhere(NODE, VIEWER),
};

/** AccessService itself keeps callers who are not admins to what is their own. */
export const accessRules: Rules<access.AccessServiceDefinition> = {
  login: 'anybody',
  whoAmI: 'known',
  listUsers: 'known',
  putUser: 'known',
  deleteUser: need(ADMIN, EVERYWHERE),
  createToken: 'known',
  listTokens: 'known',
  revokeToken: 'known',
};

/** A role in the system of the queue that the request names. */
const needInQueue =
  (systemOf: SystemOf) =>
  (role: access.Role) =>
  ({ queue }: { queue: string }): Need =>
    need(role, systemOf(queue));

export function storageRules(systemOf: SystemOf): Rules<storage.StorageServiceDefinition> {
  const ofQueue = needInQueue(systemOf);
  return {
    append: 'internal',
    deliver: 'internal',
    fetch: 'internal',
    settle: 'internal',
    listQueues: {
      need: ({ queue }) => (queue === '' ? somewhere(VIEWER) : need(VIEWER, systemOf(queue))),
      answer: ({ queues }, may) => ({
        queues: queues.filter(({ queue }) => may(VIEWER, systemOf(queue))),
      }),
    },
    listJobs: ofQueue(VIEWER),
    getJob: {
      need: somewhere(VIEWER),
      answer(response, may) {
        if (may(VIEWER, systemOf(response.queue))) return response;
        // As if it was not there.
        throw new BusError('UNKNOWN_JOB', 'there is no such job in a queue that you may see');
      },
    },
    replay: ofQueue(OPERATOR),
    discard: ofQueue(OPERATOR),
    discardDead: ofQueue(OPERATOR),
    verify: ofQueue(VIEWER),
    // Producers open and close through ingest.
    openBatch: 'internal',
    closeBatch: 'internal',
    // A batch belongs to the system of the queue that gets the job behind it.
    getBatch: {
      need: somewhere(VIEWER),
      answer(response, may) {
        if (may(VIEWER, systemOf(response.batch?.thenQueue ?? ''))) return response;
        throw new BusError('NOT_FOUND', 'there is no such batch that you may see');
      },
    },
    listBatches: {
      need: somewhere(VIEWER),
      answer: ({ batches, nextCursor }, may) => ({
        batches: batches.filter(({ thenQueue }) => may(VIEWER, systemOf(thenQueue))),
        nextCursor,
      }),
    },
    abandonBatches: ofQueue(OPERATOR),
  };
}

export function dispatcherRules(systemOf: SystemOf): Rules<dispatcher.DispatcherServiceDefinition> {
  const ofQueue = needInQueue(systemOf);
  return {
    listTargets: {
      need: somewhere(VIEWER),
      answer: ({ targets, ...rest }, may) => ({
        targets: targets.filter(({ queue }) => may(VIEWER, systemOf(queue))),
        ...rest,
      }),
    },
    listRuns: {
      need: somewhere(VIEWER),
      answer: ({ runs }, may) => ({
        runs: runs.filter(({ queue }) => may(VIEWER, systemOf(queue))),
      }),
    },
    watchRun: ofQueue(VIEWER),
    killRun: ofQueue(OPERATOR),
    // A dispatcher works for every system.
    drain: need(OPERATOR, EVERYWHERE),
    resume: need(OPERATOR, EVERYWHERE),
  };
}

/** `systemOf` a schedule. */
export function schedulerRules(systemOf: SystemOf): Rules<scheduler.SchedulerServiceDefinition> {
  const ofSchedule =
    (role: access.Role) =>
    ({ schedule }: { schedule: string }): Need =>
      need(role, systemOf(schedule));
  return {
    listSchedules: {
      need: ({ schedule }) =>
        schedule === '' ? somewhere(VIEWER) : need(VIEWER, systemOf(schedule)),
      answer: ({ schedules, leader }, may) => ({
        schedules: schedules.filter(({ system }) => may(VIEWER, system)),
        leader,
      }),
    },
    getSchedule: ofSchedule(VIEWER),
    listFires: ofSchedule(VIEWER),
    preview: somewhere(VIEWER, DEVELOPER),
    trigger: ofSchedule(OPERATOR),
    backfill: ofSchedule(OPERATOR),
    resume: ofSchedule(OPERATOR),
    testRun: ofSchedule(OPERATOR),
    listRuns: ofSchedule(VIEWER),
  };
}

/** The figures tell of every queue. */
export const metricsRules: Rules<metrics.MetricsServiceDefinition> = {
  gather: need(VIEWER, EVERYWHERE),
};

/** Ingest asks for the passwords of queues itself. */
export const ingestRules: Rules<ingest.IngestServiceDefinition> = {
  submit: 'anybody',
  submitBatch: 'anybody',
  submitStream: 'anybody',
  openBatch: 'anybody',
  closeBatch: 'anybody',
  getBatch: 'anybody',
};

/** Sources belong to the system of the queue that they fill. */
export function sourceRules(systemOf: SystemOf): Rules<sources.SourceServiceDefinition> {
  return {
    listSources: {
      need: somewhere(VIEWER),
      answer: ({ sources, node }, may) => ({
        sources: sources.filter(({ push }) => may(VIEWER, systemOf(push))),
        node,
      }),
    },
  };
}

/** Workers show the password of their topic. */
export const workerRules: Rules<dispatcher.WorkerServiceDefinition> = { work: 'anybody' };
