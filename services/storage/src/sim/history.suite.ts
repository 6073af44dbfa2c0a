import { storage } from '@malabar/contracts';
import { checkQuiet } from './checks.suite.js';
import { Dice } from './dice.suite.js';
import { NODES, QUEUES, TOPICS, wholeConfig } from './documents.suite.js';
import type { Stream } from './life.suite.js';
import { takeStep } from './steps.suite.js';
import { dueOf } from './words.suite.js';
import { World, Wrong } from './world.suite.js';

type Sabotage = ConstructorParameters<typeof World>[1];

const STEPS_MIN = 20;
const STEPS_MAX = 80;
/** Rounds in which everything must have drained once nothing fails any more. */
const ROUNDS_MAX = 400;

export interface HistoryOptions {
  sabotage?: Sabotage;
  /** At most so many steps. */
  stepsMax?: number;
  /** Gets a line a step. */
  trace?: string[];
}

/**
 * Runs the history of a seed to its end; returns how often what has happened. Rejects with Wrong if the
 * store did something that it must not.
 */
export async function runHistory(
  seed: number,
  options: HistoryOptions = {},
): Promise<ReadonlyMap<string, number>> {
  const dice = new Dice(seed);
  const world = new World(dice, options.sabotage);
  const steps = Math.min(options.stepsMax ?? STEPS_MAX, dice.between(STEPS_MIN, STEPS_MAX));
  await world.open();
  for (let i = 0; i < steps; i++) await takeStep(world, options.trace);
  options.trace?.push('nothing fails any more; everything must drain');
  await drain(world);
  options.trace?.push('the last crash');
  await world.crash();
  await checkQuiet(world);
  return world.model.tally;
}

/** No faults, consumers that say yes: every delivery must end. */
async function drain(world: World): Promise<void> {
  world.disk.full = 'nothing';
  for (const stream of world.life.streams) if (stream.open) world.life.closeStream(stream);
  await checkQuiet(world);
  world.config = wholeConfig();
  world.life.configure(world.config);
  await world.rest();
  // Nobody stands at the last node: what is for it must end all the same.
  const streams = NODES.slice(0, -1).map((node) => openLast(world, node));
  for (let round = 0; waiting(world).length > 0; round++) {
    if (round > ROUNDS_MAX) throw new Wrong(`never delivered: ${waiting(world).join(', ')}`);
    await world.rest();
    world.check();
    for (const stream of streams) world.done(stream);
    world.jump(nextMs(world));
  }
  for (const { id } of world.model.batches.all.values()) world.closeBatch(id);
  await checkQuiet(world);
}

/** A dispatcher that takes whatever it gets. */
function openLast(world: World, node: string): Stream {
  const stream = world.life.openStream(`last-${node}`, node);
  const request = storage.DeliverRequest.fromPartial({ dispatcher: stream.name });
  for (const queue of QUEUES)
    for (const topic of TOPICS) {
      const id = world.fresh();
      stream.names.set(id, [queue, topic]);
      stream.credits.set(id, 100);
      request.subscribe.push({ id, queue, topic, credits: 100 });
    }
  world.life.store.delivery.handle(stream.session, request);
  return stream;
}

/** Up to the next moment at which something falls due. */
function nextMs(world: World): number {
  let next = world.time.now + 60_000;
  for (const job of world.model.jobs.values())
    for (const delivery of job.deliveries.values()) {
      if (delivery.kept.state !== 'waiting') continue;
      const dueAtMs = delivery.lease?.deadlineMs ?? dueOf(delivery);
      if (dueAtMs > world.time.now) next = Math.min(next, dueAtMs);
    }
  return Math.max(300, next - world.time.now);
}

function waiting(world: World): string[] {
  const names: string[] = [];
  for (const job of world.model.jobs.values())
    for (const { topic, kept } of job.deliveries.values())
      if (kept.state === 'waiting') names.push(`${job.body} of ${job.queue.name}/${topic.name}`);
  return names;
}

/** Runs a history that went wrong again and again with fewer steps; returns the shortest that does, told in words. */
export async function explain(seed: number, sabotage?: Sabotage): Promise<string> {
  for (let stepsMax = 1; stepsMax <= STEPS_MAX; stepsMax++) {
    const trace: string[] = [];
    try {
      await runHistory(seed, { sabotage, stepsMax, trace });
    } catch (error) {
      const lines = trace.map((line, i) => `${String(i + 1).padStart(3)}  ${line}`);
      return [`seed ${seed}, ${stepsMax} steps: ${(error as Error).message}`, ...lines].join('\n');
    }
  }
  return `seed ${seed} did not go wrong again`;
}
