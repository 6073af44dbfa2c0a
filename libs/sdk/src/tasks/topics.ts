import { setTimeout as pause } from 'node:timers/promises';
import type { config } from '@malabar/contracts';
import { type BusError, reconnectDelayMs, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import { MalabarError, RegistrationError, toMalabarError } from '../errors.js';
import type { Log } from '../log.js';
import { authorOf } from './author.js';
import { byHand } from './by-hand.js';
import { differences } from './differences.js';
import { DOCUMENT_KEY, DOMAIN, QUEUES_FILE, type QueueDocument } from './documents.js';
import type { Topic } from './registry.js';

/** Somebody else is first now and then; who loses looks again. */
const ROUNDS_MAX = 20;
const ROUND_MS_MAX = 1_000;
const FOLLOWED_MS_MAX = 10_000;
const FOLLOWED_MS = 50;

export type ConfigService = Client<typeof config.ConfigServiceDefinition>;

export interface CreateTopicsOptions {
  service: ConfigService;
  topics: readonly Topic[];
  /** Changes topics that are there with other settings, instead of refusing. */
  replace: boolean;
  /** Who registers, for the history. */
  name: string;
  random: () => number;
  log: Log;
}

/** What is in force of the queues. */
interface InForce {
  release: number;
  queues: Map<string, QueueDocument>;
}

/**
 * Makes the topics that are not there, as one release of the bus's configuration, and waits until
 * the bus goes by it. Returns the paths of those that it made or changed. Throws a
 * RegistrationError: somebody else's topic says something else, or the keeper does not let us.
 */
export async function createTopics(options: CreateTopicsOptions): Promise<string[]> {
  for (let round = 0; ; round++) {
    try {
      return await createOnce(options);
    } catch (thrown) {
      const error = thrown instanceof MalabarError ? thrown : toBusError(thrown);
      const isRace = !(error instanceof MalabarError) && error.code === 'CONFLICT';
      if (!isRace || round === ROUNDS_MAX) throw error;
      await pause(reconnectDelayMs(round, options.random, 10, ROUND_MS_MAX));
    }
  }
}

async function createOnce(options: CreateTopicsOptions): Promise<string[]> {
  const { service, topics, replace, name, log } = options;
  const inForce = await asked(topics, undefined, () => readQueues(service));
  const missing = topics.filter((topic) => found(inForce, topic) === undefined);
  const others = topics.filter((topic) => differencesOf(inForce, topic).length > 0);
  if (others.length > 0 && !replace) throw await conflict(service, inForce, others);
  const changed = [...missing, ...others];
  if (changed.length === 0) return [];
  const queues = withTopics(inForce, changed);
  const published = await asked(changed, queues, () =>
    service.publish({
      domain: DOMAIN,
      expectedRelease: inForce.release,
      draftRevision: 0,
      operations: [...queues].map(([queue, document]) => setDocument(queue, document)),
      canary: undefined,
      note: `tasks of ${name}`,
    }),
  );
  const paths = changed.map(({ path }) => path);
  log.info({ topics: paths, release: published.release?.number }, 'topics made');
  await followed(service, published.release?.number ?? 0, log);
  return paths;
}

/** A call that says how else to have the topics if it is not allowed. */
async function asked<T>(
  topics: readonly Topic[],
  queues: ReadonlyMap<string, QueueDocument> | undefined,
  call: () => Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    const error = toBusError(thrown);
    if (error.retryable || error.code === 'CONFLICT') throw error;
    throw refused(error, topics, queues);
  }
}

function refused(
  error: BusError,
  topics: readonly Topic[],
  queues: ReadonlyMap<string, QueueDocument> | undefined,
): RegistrationError {
  const paths = topics.map(({ path }) => path).join(', ');
  const reason =
    error.code === 'UNSUPPORTED'
      ? 'no keeper answers at this address; connect with `keeper`'
      : error.message;
  const message = `cannot make ${paths}: ${reason}\n${byHand(topics, queues)}`;
  return new RegistrationError(error.code, message, { cause: error });
}

async function readQueues(service: ConfigService): Promise<InForce> {
  const state: config.StateRef = { state: { $case: 'release', value: 0 } };
  const wanted = { domain: DOMAIN, state, path: '', reveal: false };
  const { files, release } = await service.getFiles(wanted);
  const sections = files.find(({ path }) => path === QUEUES_FILE)?.sections ?? [];
  const queues = sections.flatMap(({ name, entries }): Array<[string, QueueDocument]> => {
    const raw = entries.find(({ key }) => key === DOCUMENT_KEY)?.raw;
    return raw === undefined ? [] : [[name, (JSON.parse(raw) ?? {}) as QueueDocument]];
  });
  return { release, queues: new Map(queues) };
}

function found({ queues }: InForce, { queue, task }: Topic) {
  const topics = queues.get(queue)?.topics ?? {};
  return Object.hasOwn(topics, task) ? (topics[task] ?? {}) : undefined;
}

function differencesOf(inForce: InForce, topic: Topic): string[] {
  const document = found(inForce, topic);
  return document === undefined ? [] : differences(topic.document, document);
}

/** The documents of the queues that change, whole. */
function withTopics(inForce: InForce, topics: readonly Topic[]): Map<string, QueueDocument> {
  const changed = new Map<string, QueueDocument>();
  for (const topic of topics) {
    const { queue, task, document } = topic;
    const before = changed.get(queue) ?? inForce.queues.get(queue) ?? {};
    const own = { ...found(inForce, topic), ...document };
    changed.set(queue, { ...before, topics: { ...before.topics, [task]: own } });
  }
  return changed;
}

function setDocument(queue: string, document: QueueDocument): config.Operation {
  const value = {
    file: QUEUES_FILE,
    section: queue,
    key: DOCUMENT_KEY,
    type: 'json',
    raw: JSON.stringify(document),
  };
  return { operation: { $case: 'setKey', value } };
}

async function conflict(
  service: ConfigService,
  inForce: InForce,
  topics: readonly Topic[],
): Promise<RegistrationError> {
  const lines: string[] = [];
  for (const topic of topics) {
    const what = differencesOf(inForce, topic).join(', ');
    const author = await authorOf(service, topic, found(inForce, topic));
    lines.push(`topic ${topic.path} is there with other settings: ${what}; ${author}`);
  }
  const todo = 'change one of the two, or register with `replace`';
  return new RegistrationError('CONFLICT', `${lines.join('\n')}\n${todo}`);
}

/** Waits until every process that goes by the bus's configuration goes by this release. */
async function followed(service: ConfigService, release: number, log: Log): Promise<void> {
  const waiting = async (): Promise<string[]> => {
    const { nodes } = await service.listNodes({ domain: DOMAIN, onlyHere: false });
    const behind = nodes.filter((node) => node.connected && node.release < release);
    return behind.map(({ id, refusal }) => (refusal === '' ? id : `${id}: ${refusal}`));
  };
  try {
    for (let waitedMs = 0; ; waitedMs += FOLLOWED_MS) {
      const nodes = await waiting();
      if (nodes.length === 0) return;
      if (waitedMs >= FOLLOWED_MS_MAX) {
        log.warn({ release, nodes }, 'not every process of the bus goes by the new topics yet');
        return;
      }
      await pause(FOLLOWED_MS);
    }
  } catch (thrown) {
    const { message } = toMalabarError(thrown);
    log.warn({ release, reason: message }, 'cannot see which processes go by the new topics');
  }
}
