import { common, storage } from '@malabar/contracts';
import type { Stream } from './life.suite.js';
import type { World } from './world.suite.js';

const TURNS = 8;

/** A consumer that takes one delivery at a time, of a topic with keys of which several wait. */
export async function takeTurns(world: World): Promise<string> {
  const { dice } = world;
  const places = world.config.queues.flatMap(({ name, topics }) =>
    topics.filter(({ key, paused }) => key && !paused).map((topic) => [name, topic.name] as const),
  );
  if (places.length === 0) return 'no topic with keys';
  const [queue, topic] = dice.pick(places);
  const keys = dice
    .pick(['u1 u1 u1 u1 u1 u2', 'u2 u1 u2 u2 u1 u2', 'u1 u2 u3 u4 u5 u1'])
    .split(' ');
  const options = keys.map((key, index) =>
    storage.JobOptions.fromPartial({ index, keys: [{ from: '', key }] }),
  );
  world.append(queue, options);
  await world.rest();
  let stream = subscribe(world, queue, topic);
  if (dice.chance(0.4)) {
    await failFirst(world, stream);
    stream = subscribe(world, queue, topic);
  }
  for (let turn = 0; turn < TURNS; turn++) {
    await world.rest();
    world.done(stream);
    if (dice.chance(0.3)) world.jump(200);
  }
  world.life.closeStream(stream);
  return `${stream.name} takes turns at ${queue}/${topic}`;
}

function subscribe(world: World, queue: string, topic: string): Stream {
  const stream = world.life.openStream(`t${world.fresh()}`);
  const id = world.fresh();
  stream.names.set(id, [queue, topic]);
  stream.credits.set(id, 1);
  const request = storage.DeliverRequest.fromPartial({ dispatcher: stream.name });
  request.subscribe.push({ id, queue, topic, credits: 1 });
  world.life.store.delivery.handle(stream.session, request);
  return stream;
}

/** The first that it gets is to be tried again, and once that is on the disk the store dies. */
async function failFirst(world: World, stream: Stream): Promise<void> {
  await world.rest();
  const leaseId = stream.held.shift();
  if (leaseId === undefined) return;
  const { RETRY } = common.OutcomeKind;
  world.settle([common.Outcome.fromPartial({ leaseId, kind: RETRY, retryAfterMs: 7_000 })]);
  world.flush();
  await world.rest();
  await world.crash();
}
