import { batches, common, storage } from '@malabar/contracts';
import { discard } from '../discard.js';
import { discardDead } from '../discard-dead.js';
import { replay } from '../replay.js';
import { checkQuiet } from './checks.suite.js';
import { anyConfig, anyOptions, NODES, QUEUES, TOPICS } from './documents.suite.js';
import { takeTurns } from './flow-steps.suite.js';
import type { Stream } from './life.suite.js';
import type { World } from './world.suite.js';

const { DONE, RETRY, DEAD, RELEASE, EXTEND, CRASH } = common.OutcomeKind;
const KINDS = [DONE, DONE, RETRY, RETRY, DEAD, RELEASE, EXTEND, CRASH];

/** One step: does something and says what, for the list that a failure prints. */
type Step = (world: World) => string | Promise<string>;

const steps: Array<[weight: number, step: Step]> = [
  [18, append],
  [3, openBatch],
  [4, closeBatch],
  [0.3, abandonBatch],
  [24, oneEvent],
  [14, manyEvents],
  [5, openStream],
  [6, subscribe],
  [2, closeStream],
  [18, settleSome],
  [2, settleForeign],
  [6, fetchSome],
  [1, abortFetch],
  [5, (world) => jump(world, world.dice.between(1, 400))],
  [3, (world) => jump(world, world.dice.between(1_000, 40_000))],
  [3, jumpToTimer],
  [6, trim],
  [2, reconfigure],
  [3, replayDead],
  [3, takeBack],
  [1, takeTurns],
  [0.5, purge],
  [3, flush],
  [2, crash],
  [0.5, fence],
  [1.5, fault],
  [0.4, quiet],
];
const TOTAL = steps.reduce((sum, [weight]) => sum + weight, 0);

function pickStep(at: number): Step {
  let sum = 0;
  for (const [weight, step] of steps) {
    sum += weight;
    if (at < sum) return step;
  }
  return append;
}

/** Mostly a queue that there is. */
function anyQueueName(world: World): string {
  const there = world.config.queues.map(({ name }) => name);
  return world.dice.chance(0.9) ? world.dice.pick(there) : world.dice.pick(QUEUES);
}

/** Mostly a topic that there is. */
function anyTopicName(world: World, queue: string): string {
  const config = world.config.queues.find(({ name }) => name === queue);
  const there = config?.topics.map(({ name }) => name) ?? [];
  const { dice } = world;
  return there.length > 0 && dice.chance(0.9) ? dice.pick(there) : dice.pick(TOPICS);
}

/** Takes one step of a history. */
export async function takeStep(world: World, trace?: string[]): Promise<void> {
  const step = pickStep(world.dice.random() * TOTAL);
  const index = trace?.push(`${step.name}...`) ?? 0;
  const said = await step(world);
  if (trace) trace[index - 1] = said;
  await world.step();
}

function append(world: World): string {
  const { dice } = world;
  const queue = anyQueueName(world);
  const plain = dice.chance(0.4);
  const count = dice.between(1, 4);
  const batch = dice.chance(0.5) ? anyBatch(world) : '';
  const options = Array.from({ length: count }, (_, index) => {
    const some = plain ? undefined : anyOptions(dice, index, world.time.now);
    return batch === '' ? some : storage.JobOptions.fromPartial({ ...some, index, batch });
  });
  world.append(queue, options);
  return `append ${count} to ${queue} ${JSON.stringify(options.filter((one) => one))}`;
}

/** One that was opened, perhaps over by now; empty if there is none. */
function anyBatch({ dice, model }: World): string {
  const ids = [...model.batches.all.keys()];
  return ids.length === 0 ? '' : dice.pick(ids);
}

function openBatch(world: World): string {
  const { dice } = world;
  const queue = dice.pick(QUEUES);
  const on = dice.pick([batches.BatchOn.ALWAYS, batches.BatchOn.SUCCESS]);
  const expiresAfterMs = dice.pick([0, 0, 400, 20_000]);
  world.openBatch(queue, on, expiresAfterMs);
  return `open a batch: ${queue}, ${on}, ${expiresAfterMs} ms`;
}

function closeBatch(world: World): string {
  const id = anyBatch(world);
  world.closeBatch(id);
  return `close batch ${id}`;
}

function abandonBatch(world: World): string {
  const id = anyBatch(world);
  world.abandonBatch(id);
  return `abandon batch ${id}`;
}

function oneEvent(world: World): string {
  world.runOne();
  return 'event';
}

async function manyEvents(world: World): Promise<string> {
  const count = world.dice.between(5, 30);
  for (let i = 0; i < count && world.life.schedule.size > 0; i++) {
    world.runOne();
    await world.step();
  }
  return `${count} events`;
}

function openStream(world: World): string {
  const node = world.dice.chance(0.4) ? '' : world.dice.pick(NODES);
  const stream = world.life.openStream(`d${world.fresh()}`, node);
  return `open ${stream.name} at '${node}'; ${subscribeOn(world, stream)}`;
}

function openStreams(world: World): Stream[] {
  return world.life.streams.filter(({ open }) => open);
}

function subscribe(world: World): string {
  const streams = openStreams(world);
  return streams.length === 0 ? openStream(world) : subscribeOn(world, world.dice.pick(streams));
}

/** A new subscription, new credits for an old one, or an end. */
function subscribeOn(world: World, stream: Stream): string {
  const { dice } = world;
  const known = [...stream.credits.keys()];
  const request = storage.DeliverRequest.fromPartial({ dispatcher: stream.name });
  if (known.length > 0 && dice.chance(0.15)) {
    const id = dice.pick(known);
    request.unsubscribe.push(id);
    world.life.unsubscribed(stream, id);
    world.life.store.delivery.handle(stream.session, request);
    return `${stream.name}: unsubscribe ${id}`;
  }
  const id = known.length > 0 && dice.chance(0.3) ? dice.pick(known) : world.fresh();
  const place = anyQueueName(world);
  const [queue, topic] = stream.names.get(id) ?? [place, anyTopicName(world, place)];
  const credits = dice.pick([1, 2, 5, 50]);
  stream.names.set(id, [queue, topic]);
  stream.credits.set(id, credits);
  request.subscribe.push({ id, queue, topic, credits });
  world.life.store.delivery.handle(stream.session, request);
  return `${stream.name}: subscribe ${id} to ${queue}/${topic}, ${credits} credits`;
}

function closeStream(world: World): string {
  const streams = openStreams(world);
  if (streams.length === 0) return 'no stream to close';
  const stream = world.dice.pick(streams);
  world.life.closeStream(stream);
  return `close ${stream.name}`;
}

function anyOutcome(world: World, leaseId: number): common.Outcome {
  return common.Outcome.fromPartial({
    leaseId,
    kind: world.dice.pick(KINDS),
    retryAfterMs: world.dice.pick([0, 0, 0, 150, 7_000]),
    error: 'it failed',
  });
}

/** A dispatcher or a fetching consumer says what became of some of its leases, expired ones among them. */
function settleSome(world: World): string {
  const { dice, life } = world;
  const holders = [...openStreams(world), ...life.fetches.values()].filter(
    (one) => one.held.length,
  );
  if (holders.length === 0) return 'nothing to settle';
  const holder = dice.pick(holders);
  const from = dice.below(holder.held.length);
  const ids = holder.held.splice(from, dice.between(1, 6));
  if (!('session' in holder)) {
    const outcomes = ids.map((id) => anyOutcome(world, id));
    world.settle(outcomes);
    if (dice.chance(0.5)) world.flush();
    return `${holder.name} settles ${outcomes.map(({ leaseId, kind }) => `${leaseId}:${kind}`)}`;
  }
  return settleOnStream(world, holder, ids);
}

function settleOnStream(world: World, stream: Stream, ids: number[]): string {
  const request = storage.DeliverRequest.fromPartial({ dispatcher: stream.name });
  if (world.dice.chance(0.5)) request.done = rangesOf(ids);
  else request.outcomes = ids.map((id) => anyOutcome(world, id));
  for (const { firstLeaseId, count } of request.done)
    for (let i = 0; i < count; i++)
      world.model.outcome(common.Outcome.fromPartial({ leaseId: firstLeaseId + i, kind: DONE }));
  for (const outcome of request.outcomes) world.model.outcome(outcome);
  for (const { leaseId, kind } of request.outcomes) if (kind === EXTEND) stream.held.push(leaseId);
  world.life.store.delivery.handle(stream.session, request);
  return `${stream.name} settles ${JSON.stringify([request.done, request.outcomes])}`;
}

/** As few ranges as hold the ids: one may span several runs. */
function rangesOf(ids: number[]): storage.LeaseRange[] {
  const ranges: storage.LeaseRange[] = [];
  for (const id of ids.sort((a, b) => a - b)) {
    const last = ranges[ranges.length - 1];
    if (last && last.firstLeaseId + last.count === id) last.count++;
    else ranges.push({ firstLeaseId: id, count: 1 });
  }
  return ranges;
}

/** Lease ids that are over, of an earlier owner, or were never given out. */
function settleForeign(world: World): string {
  const { dice, model } = world;
  const over = [...model.granted.keys()].filter((id) => !model.live.has(id));
  const next = world.life.store.leases.nextId;
  const id = dice.pick([next, next - 2 ** 32, 1, ...over]);
  world.settle([anyOutcome(world, id)]);
  return `settle the foreign lease ${id}`;
}

function fetchSome(world: World): string {
  const { dice } = world;
  const queue = anyQueueName(world);
  const request = storage.FetchRequest.fromPartial({
    queue,
    topic: anyTopicName(world, queue),
    maxJobs: dice.between(0, 4),
    waitMs: dice.pick([0, 300, 5_000]),
    leaseMs: dice.pick([0, 0, 2_000]),
    settle: dice.chance(0.4),
    consumer: `f${world.fresh()}`,
  });
  world.life.fetch(request);
  return `fetch ${JSON.stringify(request)}`;
}

function abortFetch(world: World): string {
  const calls = [...world.life.fetches.values()].filter((call) => !call.answered);
  if (calls.length === 0) return 'no fetch to abort';
  const call = world.dice.pick(calls);
  call.abort.abort();
  return `abort ${call.name}`;
}

function jump(world: World, ms: number): string {
  world.jump(ms);
  return `${ms} ms pass`;
}

function jumpToTimer(world: World): string {
  world.jumpToTimer();
  return 'time passes up to the next timer';
}

/** A pass never overlaps another. */
function trim(world: World): string {
  const { life } = world;
  if (life.trimming) return 'trimming goes on';
  life.trimming = true;
  life.trimmer.pass().then(
    () => {
      life.trimming = false;
    },
    (error) => life.zombie || world.model.fail(String(error)),
  );
  return 'trim';
}

function reconfigure(world: World): string {
  world.config = anyConfig(world.dice);
  world.life.configure(world.config);
  return `configure ${JSON.stringify(world.config.queues)}`;
}

function replayDead(world: World): string {
  const { dice, life, model } = world;
  const dead = [...model.jobs.values()].flatMap((job) =>
    [...job.deliveries.values()].filter(({ kept }) => kept.state === 'dead'),
  );
  if (dead.length === 0) return 'nothing to replay';
  const { job, topic } = dice.pick(dead);
  const jobIds = dice.chance(0.5) ? [job.id] : [];
  const force = dice.chance(0.3);
  const request = { queue: job.queue.name, topic: topic.name, jobIds, force };
  if (force) model.forced.add(topic);
  const run = async (): Promise<void> => {
    for await (const _ of replay(life.store, life.browser, request));
  };
  // It may be removed, or not be dead any more.
  run().catch(() => undefined);
  return `replay ${JSON.stringify(request)}`;
}

function takeBack(world: World): string {
  const { dice, life, model } = world;
  const jobs = [...model.jobs.values()];
  if (jobs.length === 0) return 'nothing to take back';
  const { queue } = dice.pick(jobs);
  const some = jobs.filter((job) => job.queue === queue && dice.chance(0.3)).slice(0, 3);
  const topic = dice.chance(0.5) ? '' : anyTopicName(world, queue.name);
  const jobIds = some.map(({ id }) => id);
  const request = { queue: queue.name, topic, jobIds, reason: 'not wanted' };
  for (const id of jobIds) model.takenBack.add(id);
  // A job may be trimmed by now, a topic removed or being replayed.
  discard(life.store, life.browser, request).catch(() => undefined);
  return `take back ${JSON.stringify(request)}`;
}

function purge(world: World): string {
  const { dice, life, model } = world;
  const topics = [...model.queues.values()].flatMap((queue) =>
    [...queue.topics.values()].map((topic) => ({ queue: queue.name, topic })),
  );
  if (topics.length === 0) return 'nothing to purge';
  const { queue, topic } = dice.pick(topics);
  const olderThanMs = dice.pick([0, 0, 5_000]);
  const dryRun = dice.chance(0.2);
  const request = { queue, topic: topic.name, olderThanMs, dryRun, reason: 'not wanted' };
  if (!dryRun) model.purged.add(topic);
  const run = async (): Promise<void> => {
    for await (const _ of discardDead(life.store, request));
  };
  // It may be replayed.
  run().catch(() => undefined);
  return `purge ${JSON.stringify(request)}`;
}

function flush(world: World): string {
  world.flush();
  return 'flush';
}

async function crash(world: World): Promise<string> {
  await world.crash();
  return 'crash';
}

async function fence(world: World): Promise<string> {
  await world.fence();
  return 'another owner takes over';
}

function fault(world: World): string {
  const { disk, dice } = world;
  disk.full = disk.full === 'nothing' ? dice.pick(['appends', 'everything'] as const) : 'nothing';
  return `the disk refuses ${disk.full}`;
}

async function quiet(world: World): Promise<string> {
  world.disk.full = 'nothing';
  await checkQuiet(world);
  return 'look at everything';
}
