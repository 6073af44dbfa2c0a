import { authorOf } from '@malabar/access';
import type { storage } from '@malabar/contracts';
import { BusError, Channel } from '@malabar/core';
import type { Implementation } from '@malabar/rpc';
import { abandonBatches, closeBatch, getBatch, listBatches, openBatch } from './batches.js';
import type { Browser } from './browse.js';
import { discard } from './discard.js';
import { discardDead } from './discard-dead.js';
import { replay } from './replay.js';
import type { Session } from './sessions.js';
import type { Store } from './store.js';
import { verify } from './verify.js';

/** The contract of storage, answered by a store: translates and calls, decides nothing. */
export function createStorageService(
  store: Store,
  browser: Browser,
): Implementation<typeof storage.StorageServiceDefinition> {
  return {
    append: (requests) => append(store, requests),
    deliver: (requests, context) => deliver(store, requests, context.signal),
    fetch: async (request, context) => ({
      runs: await store.delivery.fetch(request, context.signal),
    }),
    settle: (request) => settle(store, request),
    listQueues: async (request) => ({ queues: queueStats(store, request.queue) }),
    listJobs: (request) => browser.list(request),
    getJob: (request) => browser.job(request.jobId),
    replay: (request) => replay(store, browser, request),
    async discard({ reason, ...request }, context) {
      const by = authorOf(context);
      const why = discardedBy(by.name, reason);
      const answer = await discard(store, browser, { ...request, reason: why });
      store.options.log.info({ ...request, ...answer, reason, by }, 'jobs were taken back');
      return answer;
    },
    async *discardDead({ reason, ...request }, context) {
      const by = authorOf(context);
      const why = discardedBy(by.name, reason);
      let last = { discarded: 0, kept: 0, total: 0 };
      try {
        for await (const progress of discardDead(store, { ...request, reason: why })) {
          last = progress;
          yield progress;
        }
      } finally {
        if (!request.dryRun)
          store.options.log.info({ ...request, ...last, reason, by }, 'dead jobs were discarded');
      }
    },
    verify: async function* (request) {
      let last = { jobs: 0, deliveries: 0, problems: [] as string[] };
      for await (const findings of verify(store, request.queue)) {
        last = findings;
        yield { ...findings, problems: [], done: false };
      }
      yield { ...last, done: true };
    },
    openBatch: async (request) => ({ batch: await openBatch(store, request) }),
    closeBatch: async ({ id }) => ({ batch: await closeBatch(store, id) }),
    getBatch: async ({ id }) => ({ batch: await getBatch(store, id) }),
    listBatches: (request) => listBatches(store, request),
    async abandonBatches(request, context) {
      const abandoned = await abandonBatches(store, request);
      store.options.log.info({ ...request, by: authorOf(context) }, 'batches were abandoned');
      return { batches: abandoned };
    },
  };
}

const discardedBy = (name: string, reason: string): string =>
  `discarded by ${name}${reason === '' ? '' : `: ${reason}`}`;

function append(
  store: Store,
  requests: AsyncIterable<storage.AppendRequest>,
): AsyncIterable<storage.AppendResponse> {
  const answers = new Channel<storage.AppendResponse>();
  let outstanding = 0;
  let ended = false;
  const reply = (response: storage.AppendResponse): void => {
    outstanding--;
    answers.push(response);
    if (ended && outstanding === 0) answers.end();
  };
  const read = async (): Promise<void> => {
    for await (const request of requests) {
      outstanding++;
      store.append({ request, reply });
    }
    ended = true;
    if (outstanding === 0) answers.end();
  };
  read().catch((error) => answers.fail(error));
  return answers;
}

function deliver(
  store: Store,
  requests: AsyncIterable<storage.DeliverRequest>,
  signal: AbortSignal,
): AsyncIterable<storage.DeliverResponse> {
  let session: Session | undefined;
  const close = (): void => {
    if (session) store.delivery.closeSession(session);
  };
  const out = new Channel<storage.DeliverResponse>(close);
  const read = async (): Promise<void> => {
    for await (const request of requests) {
      const { dispatcher, node } = request;
      const send = (response: storage.DeliverResponse): void => out.push(response);
      session ??= store.delivery.openSession(dispatcher || 'dispatcher', node, send);
      store.delivery.handle(session, request);
    }
  };
  signal.addEventListener('abort', close);
  read()
    .then(
      () => out.end(),
      (error) => out.fail(error),
    )
    .finally(close);
  return out;
}

async function settle(
  store: Store,
  request: storage.SettleRequest,
): Promise<storage.SettleResponse> {
  const staleLeaseIds = store.settle(request.outcomes);
  await store.committer.flush();
  store.delivery.pumpTouched();
  return { staleLeaseIds };
}

function queueStats(store: Store, queue: string): storage.QueueStats[] {
  if (!store.configured) throw new BusError('UNAVAILABLE', 'storage has no configuration yet');
  const shards = queue === '' ? [...store.shards.values()] : [store.shard(queue)];
  return shards.map((shard) => ({
    queue: shard.queue,
    accepted: shard.tail,
    retained: shard.tail - shard.trimmedTo,
    detached: shard.config === undefined,
    topics: [...shard.topics.values()].map((topic) => ({
      topic: topic.name,
      ...topic.counts(),
      paused: topic.config.paused,
      detached: topic.detachedAt !== undefined,
      dispatchers: store.delivery.subscriberCount(topic),
      nodesAway: topic.nodes.away,
      rateReached: topic.roomAtMs(store.options.clock.now()) !== undefined,
      keysBusy: topic.keysBusy,
    })),
  }));
}
