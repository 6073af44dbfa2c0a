import { keeper } from '@malabar/contracts';
import type { Documents, QueueDocument } from './documents.js';
import { ConfigError, type ConfigFault, type KeyFault } from './faults.js';
import type { PasswordHashes } from './password-hashes.js';
import type { Environment, Secret } from './secret.js';
import type { TargetDocument } from './target.js';
import type { RetryDocument, TopicDocument } from './topic.js';

export interface BusConfigOptions {
  /** Variables that `{ secret: env:NAME }` may name. */
  env: Environment;
  hashes: PasswordHashes;
  /** Gives a fault its place: `fault` of readConfig. */
  fault(fault: KeyFault): ConfigFault;
}

const BACKOFF = {
  exponential: keeper.Backoff.EXPONENTIAL,
  fixed: keeper.Backoff.FIXED,
  ladder: keeper.Backoff.LADDER,
};
const START = { now: keeper.TopicStart.NOW, beginning: keeper.TopicStart.BEGINNING };
const FORMAT = { raw: keeper.HttpFormat.RAW, pepperbus: keeper.HttpFormat.PEPPERBUS };

/** What stands in place of the secrets. */
interface Secrets {
  hash(path: readonly string[], password: Secret): string;
  text(path: readonly string[], secret: Secret): string;
}

/**
 * The queues and topics as the other services read them, release 0, with secrets in place. Throws a
 * ConfigError that names every secret that cannot be read.
 */
export async function toBusConfig(
  documents: Documents,
  { env, hashes, fault }: BusConfigOptions,
): Promise<keeper.BusConfig> {
  const faults: ConfigFault[] = [];
  const text = (path: readonly string[], secret: Secret): string => {
    try {
      return secret.reveal(env);
    } catch (error) {
      faults.push(fault({ path, message: (error as Error).message }));
      return '';
    }
  };
  const hashed = new Map<string, string>();
  const passwords = passwordsOf(documents).map(async ({ path, password }) => {
    const plain = text(path, password);
    const key = path.join('/');
    if (plain !== '') hashed.set(key, await hashes.hash(key, plain));
  });
  await Promise.all(passwords);
  const hash = (path: readonly string[]): string => hashed.get(path.join('/')) ?? '';
  const config = assemble(documents, { hash, text });
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

interface PasswordPlace {
  path: string[];
  password: Secret;
}

function passwordsOf({ queues }: Documents): PasswordPlace[] {
  return Object.entries(queues).flatMap(([name, queue]) => {
    const path = ['queues', name];
    const topics = Object.entries(queue.topics).map(([topic, { password }]) => ({
      path: [...path, 'topics', topic, 'password'],
      password,
    }));
    const all = [{ path: [...path, 'password'], password: queue.password }, ...topics];
    return all.filter((one): one is PasswordPlace => one.password !== undefined);
  });
}

function assemble({ queues }: Documents, secrets: Secrets): keeper.BusConfig {
  const entries = Object.entries(queues).sort(([a], [b]) => (a < b ? -1 : 1));
  return { release: 0, queues: entries.map(([name, queue]) => queueConfig(name, queue, secrets)) };
}

function queueConfig(name: string, queue: QueueDocument, secrets: Secrets): keeper.QueueConfig {
  const path = ['queues', name];
  const topics = Object.entries(queue.topics).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    name,
    system: queue.system ?? '',
    passwordHash: queue.password ? secrets.hash([...path, 'password'], queue.password) : '',
    retentionMs: queue.retentionMs,
    bodyBytesMax: queue.limits.body,
    waitingMax: queue.limits.ready,
    topics: topics.map(([topic, document]) =>
      topicConfig(topic, document, [...path, 'topics', topic], secrets),
    ),
  };
}

function topicConfig(
  name: string,
  topic: TopicDocument,
  path: string[],
  secrets: Secrets,
): keeper.TopicConfig {
  const { concurrency, timeoutMs, delayMs, paused, chunk } = topic;
  return {
    name,
    passwordHash: topic.password ? secrets.hash([...path, 'password'], topic.password) : '',
    target: targetConfig(topic.target, [...path, 'target'], secrets),
    concurrency,
    timeoutMs,
    delayMs,
    retry: retryPolicy(topic.retry),
    start: START[topic.start],
    paused,
    chunk,
  };
}

function targetConfig(
  target: TargetDocument,
  path: string[],
  secrets: Secrets,
): keeper.TopicConfig['target'] {
  if (target.kind === 'grpc') return { $case: 'grpc', value: {} };
  if (target.kind === 'pull') return { $case: 'pull', value: {} };
  if (target.kind === 'fastcgi') {
    const { connections = 1, ...rest } = target.fastcgi;
    return { $case: 'fastcgi', value: { ...rest, connectionsMax: connections } };
  }
  const { connections = 1, responseBytes, format, headers, ...rest } = target.http;
  const sent = Object.entries(headers).map(([name, value]) => [
    name,
    secrets.text([...path, 'http', 'headers', name], value),
  ]);
  const value = {
    ...rest,
    headers: Object.fromEntries(sent),
    format: FORMAT[format],
    connectionsMax: connections,
    responseBytesMax: responseBytes,
  };
  return { $case: 'http', value };
}

function retryPolicy(retry: RetryDocument): keeper.RetryPolicy {
  const { attempts, minMs, maxMs, jitter, ageMs, crashes, ladderMs } = retry;
  return {
    attempts,
    backoff: BACKOFF[retry.backoff],
    minMs,
    maxMs,
    jitter,
    ageMaxMs: ageMs,
    crashesMax: crashes,
    ladderMs,
  };
}
