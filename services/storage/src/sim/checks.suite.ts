import { common, storage } from '@malabar/contracts';
import type { Topic } from '../core/topic.js';
import { verify } from '../verify.js';
import { settle } from './schedule.suite.js';
import { dueOf, type ModelDelivery, type ModelJob, type ModelTopic } from './words.suite.js';
import type { World } from './world.suite.js';

const { READY, SCHEDULED, LEASED, DONE: IS_DONE, DEAD, DISCARDED } = common.DeliveryState;

/** How long an expired job may wait to be discarded. */
const EXPIRY_MS = 600;

/** Lets the store come to rest, then compares all that it says of itself with the model. */
export async function checkQuiet(world: World): Promise<void> {
  const { model, life } = world;
  await world.rest();
  // The pause before a refused commit is tried again.
  for (let i = 0; life.store.committer.failing && i < 3; i++) {
    world.jump(250);
    await world.rest();
  }
  await checkEnded(world);
  model.syncConfig();
  if (life.store.committer.failing) model.fail('commits are refused for ever');
  if (model.configs.length > 0) model.fail('a configuration was never taken over');
  for (const lease of model.live.values()) checkTold(world, lease.id);
  checkFetched(world);
  world.check();
  life.schedule.hurried = true;
  await finish(world, checkVerify(world));
  for (const queue of model.queues.values()) {
    const shard = life.store.shards.get(queue.name);
    if (shard?.tail !== queue.jobs.length)
      model.fail(`${queue.name} has ${queue.jobs.length} jobs, its shard ${shard?.tail}`);
    for (const topic of queue.topics.values()) {
      const real = shard?.topics.get(topic.name);
      if (real === undefined) model.fail(`${queue.name}/${topic.name} is missing`);
      else checkCounts(world, queue.name, topic, real);
    }
  }
  model.batches.checkQuiet(life.store);
  await finish(world, checkSomeJobs(world));
  if (model.queues.size > 0) await finish(world, checkList(world));
  life.schedule.hurried = false;
  world.check();
}

/** What has expired must be gone soon, also where nobody asks for anything. */
async function checkEnded(world: World): Promise<void> {
  const { model, life } = world;
  const before = world.time.now;
  world.jump(EXPIRY_MS);
  await world.rest();
  model.syncConfig();
  for (const queue of model.queues.values())
    for (const { deliveries, options } of queue.jobs)
      for (const delivery of deliveries.values()) {
        const { topic, kept, late, lease } = delivery;
        const waits = kept.state === 'waiting' && lease === undefined && dueOf(delivery) <= before;
        const isOver = !late && (options?.expiresAtMs || Number.POSITIVE_INFINITY) <= before;
        const real = life.store.shards.get(queue.name)?.topics.get(topic.name);
        if (waits && isOver && real?.active)
          model.fail(`a job of ${queue.name}/${topic.name} has expired and waits all the same`);
      }
}

/** Awaits something that only needs the schedule to go on. */
async function finish(world: World, work: Promise<void>): Promise<void> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  work.then(end, (error) => {
    world.model.fail(`a question was answered with an error: ${error}`);
    end();
  });
  await settle();
  for (let i = 0; !ended && i < 1000; i++) {
    world.life.schedule.runAll();
    await settle();
  }
  if (!ended) world.model.fail('a question was never answered');
}

/** Whoever holds a lease must have heard of it. */
function checkTold({ model, life }: World, id: number): void {
  const lease = model.live.get(id);
  const call = life.fetches.get(lease?.holder ?? '');
  // A fetching consumer that has gone loses its lease when its time is over.
  if (lease && !lease.told && !call?.abort.signal.aborted)
    model.fail(`lease ${id} was granted to ${lease.holder}, which never heard of it`);
}

/** What was settled in the name of a fetching consumer must have reached it. */
function checkFetched({ model, life }: World): void {
  for (const lease of model.granted.values()) {
    const call = life.fetches.get(lease.holder);
    if (!call?.request.settle || lease.told || call.abort.signal.aborted) continue;
    if (lease.delivery.kept.state === 'done' && !model.live.has(lease.id))
      model.fail(`job ${lease.delivery.job.seq} was settled for ${call.name}, which never got it`);
  }
}

async function checkVerify({ life, model }: World): Promise<void> {
  let problems: string[] = [];
  for await (const findings of verify(life.store)) problems = findings.problems;
  if (problems.length > 0) model.fail(`verify: ${problems.join('; ')}`);
}

function checkCounts({ model, time }: World, queue: string, topic: ModelTopic, real: Topic): void {
  const mine = { ready: 0, scheduled: 0, leased: 0, done: 0, dead: 0, discarded: 0 };
  for (const job of model.queues.get(queue)?.jobs ?? []) {
    const delivery = job.deliveries.get(topic.name);
    if (delivery) mine[stateName(delivery, time.now)]++;
  }
  const counts = real.counts();
  if (!exact(topic, real)) {
    mine.ready += mine.scheduled;
    counts.ready += counts.scheduled;
    mine.scheduled = counts.scheduled = 0;
  }
  if (JSON.stringify(mine) !== JSON.stringify(counts))
    model.fail(
      `${queue}/${topic.name} counts ${JSON.stringify(counts)} instead of ${JSON.stringify(mine)}`,
    );
}

/** Whether the moment at which jobs become ready is known: time stands still for a topic that rests. */
function exact(topic: ModelTopic, real: Topic): boolean {
  return real.active && new Set(topic.delaysMs).size === 1;
}

function stateName(delivery: ModelDelivery, now: number) {
  const { state } = delivery.kept;
  if (state !== 'waiting') return state;
  if (delivery.lease) return 'leased';
  return dueOf(delivery) > now ? 'scheduled' : 'ready';
}

const STATES = {
  ready: READY,
  scheduled: SCHEDULED,
  leased: LEASED,
  done: IS_DONE,
  dead: DEAD,
  discarded: DISCARDED,
};

async function checkSomeJobs(world: World): Promise<void> {
  const jobs = [...world.model.jobs.values()];
  for (let i = 0; i < Math.min(8, jobs.length); i++) await checkJob(world, world.dice.pick(jobs));
}

async function checkJob(world: World, job: ModelJob): Promise<void> {
  const { model, life, time } = world;
  if (job.dropped && !world.disk.survives(job.queue.shard, job.seq)) return;
  const found = await life.browser.job(job.id);
  if (Buffer.from(found.job?.body ?? []).toString() !== job.body)
    model.fail(`job ${job.id} is read with another body`);
  if (found.deliveries.length !== job.deliveries.size)
    model.fail(`job ${job.id} has ${found.deliveries.length} of ${job.deliveries.size} deliveries`);
  for (const one of found.deliveries) {
    const mine = job.deliveries.get(one.topic);
    if (mine === undefined) return model.fail(`job ${job.id} is not for ${one.topic}`);
    const state = stateName(mine, time.now);
    const waits = state === 'ready' || state === 'scheduled';
    if (waits ? one.state > SCHEDULED : one.state !== STATES[state])
      model.fail(`job ${job.id} is ${state} in ${one.topic}, but said to be ${one.state}`);
    if (state === 'done') continue;
    if (one.attempts !== mine.kept.attempts || one.crashes !== mine.kept.crashes)
      model.fail(
        `job ${job.id} has ${mine.kept.attempts} attempts and ${mine.kept.crashes} crashes, ` +
          `but is said to have ${one.attempts} and ${one.crashes}`,
      );
    if (one.replays !== mine.kept.replays)
      model.fail(`job ${job.id} was replayed ${mine.kept.replays} times, not ${one.replays}`);
    if (one.history.length !== mine.kept.attempts)
      model.fail(`job ${job.id} remembers ${one.history.length} of ${mine.kept.attempts} attempts`);
  }
}

/** Pages through one topic in one state. */
async function checkList(world: World): Promise<void> {
  const { dice, model, life, time } = world;
  const queue = dice.pick([...model.queues.values()]);
  const topics = [...queue.topics.values()];
  if (topics.length === 0) return;
  const topic = dice.pick(topics);
  const state = dice.pick(['leased', 'dead', 'discarded', 'done', 'waiting'] as const);
  const wanted: string[] = [];
  for (const job of queue.jobs) {
    const delivery = job.deliveries.get(topic.name);
    const name = delivery && stateName(delivery, time.now);
    const same = name === state || (state === 'waiting' && isWaiting(name));
    const kept = !job.dropped || (state !== 'done' && world.disk.survives(queue.shard, job.seq));
    if (same && kept) wanted.push(job.id);
  }
  const found: string[] = [];
  for (const one of state === 'waiting' ? [READY, SCHEDULED] : [STATES[state]]) {
    let cursor = '';
    do {
      const limit = dice.between(1, 5);
      const page = await life.browser.list(
        storage.ListJobsRequest.fromPartial({
          queue: queue.name,
          topic: topic.name,
          state: one,
          limit,
          cursor,
        }),
      );
      if (page.deliveries.length > limit) model.fail(`a page of ${limit} is longer`);
      found.push(...page.deliveries.map(({ jobId }) => jobId));
      cursor = page.nextCursor;
    } while (cursor !== '' && found.length < 1000);
  }
  if (found.sort().join() !== wanted.sort().join())
    model.fail(`${queue.name}/${topic.name} ${state}: lists ${found} instead of ${wanted}`);
}

const isWaiting = (name: string | undefined): boolean => name === 'ready' || name === 'scheduled';
