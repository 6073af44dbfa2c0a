import { keeper } from '@malabar/contracts';
import type { CommandDocument } from './command.js';
import type { QueueDocument } from './documents.js';
import type { KeyDocument } from './flow.js';
import { callbackQueue } from './result.js';
import type { Secret } from './secret.js';
import { rabbitmqConfig } from './source-config.js';
import type { TargetDocument } from './target.js';
import type { RetryDocument, TopicDocument } from './topic.js';

const BACKOFF = {
  exponential: keeper.Backoff.EXPONENTIAL,
  fixed: keeper.Backoff.FIXED,
  ladder: keeper.Backoff.LADDER,
};
const START = { now: keeper.TopicStart.NOW, beginning: keeper.TopicStart.BEGINNING };
const FORMAT = { raw: keeper.HttpFormat.RAW, pepperbus: keeper.HttpFormat.PEPPERBUS };
const RESULT = {
  done: keeper.ResultStatus.DONE,
  retrying: keeper.ResultStatus.RETRYING,
  failed: keeper.ResultStatus.FAILED,
  dead: keeper.ResultStatus.DEAD,
  discarded: keeper.ResultStatus.DISCARDED,
};

/** A queue as the services read it. Its secrets are at hand, and its passwords are hashes. */
export function queueConfig(name: string, queue: QueueDocument): keeper.QueueConfig {
  const topics = Object.entries(queue.topics).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    name,
    system: queue.system ?? '',
    passwordHash: text(queue.password),
    retentionMs: queue.retentionMs,
    bodyBytesMax: queue.limits.body,
    waitingMax: queue.limits.ready,
    topics: topics.map(([topic, document]) => topicConfig(name, topic, document)),
  };
}

/** A topic as the services read it. */
export function topicConfig(queue: string, name: string, topic: TopicDocument): keeper.TopicConfig {
  const { concurrency, timeoutMs, delayMs, paused, chunk } = topic;
  return {
    name,
    passwordHash: text(topic.password),
    target: targetConfig(topic.target),
    concurrency,
    concurrencyEach: false,
    timeoutMs,
    delayMs,
    retry: retryPolicy(topic.retry),
    start: START[topic.start],
    paused,
    chunk,
    result: topic.result && {
      queue: topic.result.queue ?? callbackQueue(queue, name),
      of: topic.result.of.map((status) => RESULT[status]),
    },
    rate: topic.rate,
    key: topic.key && keyPolicy(topic.key),
  };
}

function keyPolicy({ concurrency, from, order }: KeyDocument): keeper.KeyPolicy {
  return { concurrency, from: from === 'job' ? '' : from, strict: order === 'strict' };
}

function targetConfig(target: TargetDocument): keeper.TopicConfig['target'] {
  if (target.kind === 'grpc') return { $case: 'grpc', value: {} };
  if (target.kind === 'pull') return { $case: 'pull', value: {} };
  if (target.kind === 'command') {
    return { $case: 'command', value: commandConfig(target.command) };
  }
  if (target.kind === 'rabbitmq') {
    return { $case: 'rabbitmq', value: rabbitmqConfig(target.rabbitmq) };
  }
  if (target.kind === 'fastcgi') {
    const { connections = 1, ...rest } = target.fastcgi;
    return { $case: 'fastcgi', value: { ...rest, connectionsMax: connections } };
  }
  const { connections = 1, responseBytes, format, headers, ...rest } = target.http;
  const sent = Object.entries(headers).map(([name, value]) => [name, text(value)]);
  const value = {
    ...rest,
    headers: Object.fromEntries(sent),
    format: FORMAT[format],
    connectionsMax: connections,
    responseBytesMax: responseBytes,
  };
  return { $case: 'http', value };
}

/** A command as the dispatchers read it. */
export function commandConfig(command: CommandDocument): keeper.CommandTarget {
  const { argv, graceMs, output, doneCodes, deadCodes, file } = command;
  const env = Object.entries(command.env).map(([name, value]) => {
    return [name, typeof value === 'string' ? value : text(value)];
  });
  return {
    argv,
    tag: command.tag ?? '',
    node: command.on ?? '',
    env: Object.fromEntries(env),
    directory: command.directory ?? '',
    user: command.user ?? '',
    group: command.group ?? '',
    graceMs,
    outputBytesMax: output,
    doneCodes,
    deadCodes,
    file: file && { path: file.path, bytesMax: file.size, files: file.files },
  };
}

function text(secret: Secret | undefined): string {
  return secret?.reveal() ?? '';
}

export function retryPolicy(retry: RetryDocument): keeper.RetryPolicy {
  const { attempts, minMs, maxMs, jitter, ageMs, crashes, replays, ladderMs } = retry;
  return {
    attempts,
    backoff: BACKOFF[retry.backoff],
    minMs,
    maxMs,
    jitter,
    ageMaxMs: ageMs,
    crashesMax: crashes,
    replaysMax: replays,
    ladderMs,
  };
}
