import { setTimeout as pause } from 'node:timers/promises';
import { config } from '@malabar/contracts';
import { packages } from '@malabar/testkit';
import { printGoal, quantile } from './figures.js';
import { type KeeperNodes, startKeeperNodes } from './keeper-nodes.js';
import { type BackendName, type KeeperProcess, startKeeper } from './keeper-process.js';
import { cpuSeconds, residentMib } from './machine.js';
import type { Received } from './workers/keeper-nodes.js';

const GOAL_MS = 50;
const SETTLE_MS = 2_000;
const WARM_UP = 20;
const LAST_WAIT_MS = 5_000;
const IDLE_MS = 5_000;

/** What is published, and to how many. */
interface Load {
  name: string;
  nodes: number;
  changes: number;
  periodMs: number;
  /** Bytes of a value beside the one that changes. */
  bytes: number;
  goal: boolean;
}

/** One change: when it was asked for and when the keeper had answered, milliseconds. */
interface Published {
  calledAtMs: number;
  answeredAtMs: number;
}

/** (f) From publishing a change to the callbacks of all nodes that subscribe to it. */
export async function benchKeeperPush(scale: number): Promise<void> {
  const loads: Load[] = [
    // More than 64 KiB is announced and pulled.
    ...[{ name: 'small', nodes: 500, changes: 200, periodMs: 250, bytes: 20, goal: true }],
    ...[{ name: '1 MiB', nodes: 20, changes: 20, periodMs: 1_000, bytes: 2 ** 20, goal: false }],
  ];
  const etcd = await packages.etcd();
  if (etcd.missing) console.log(`\nkeeper on etcd is not measured: ${etcd.missing}`);
  const backends: BackendName[] = etcd.missing ? ['lmdb'] : ['lmdb', 'etcd'];
  for (const load of loads)
    for (const backend of backends)
      await measure(backend, { ...load, changes: Math.ceil(load.changes * scale) });
}

async function measure(backend: BackendName, load: Load): Promise<void> {
  console.log(
    `\npush of ten keys, ${load.name}, to ${load.nodes} nodes, ${backend}: ${load.changes} changes, one each ${load.periodMs} ms`,
  );
  const keeper = await startKeeper(backend);
  try {
    const publish = await publisher(keeper, load);
    const mib = await settledMib(keeper);
    const nodes = await startKeeperNodes(keeper.address, load.nodes);
    try {
      printMemory((await settledMib(keeper)) - mib, load);
      await printIdle(keeper, load);
      await push(keeper, nodes, load, publish);
    } finally {
      await nodes.stop();
    }
  } finally {
    await keeper.stop();
  }
}

/** Publishes the first release; the returned function publishes the next one, with a stamp in it. */
async function publisher(
  { config: client }: KeeperProcess,
  { bytes }: Load,
): Promise<(stamp: string) => Promise<Published>> {
  const settings = config.DomainSettings.fromPartial({});
  await client.putDomain({ domain: 'bench', settings, settingsRevision: 0 });
  let release = 0;
  const publish = async (operations: config.Operation[]): Promise<Published> => {
    const calledAtMs = now();
    const request = { domain: 'bench', expectedRelease: release++, operations };
    await client.publish(config.PublishRequest.fromPartial(request as config.PublishRequest));
    return { calledAtMs, answeredAtMs: now() };
  };
  const others = Array.from({ length: 8 }, (_, at) => set(`key_${at}`, String(at)));
  await publish([set('stamp', 'first'), set('text', 'x'.repeat(bytes)), ...others]);
  return (stamp) => publish([set('stamp', stamp)]);
}

function set(key: string, raw: string): config.Operation {
  const value = { file: '/app.conf', section: '', key, type: 'string', raw };
  return { operation: { $case: 'setKey', value } };
}

async function push(
  keeper: KeeperProcess,
  nodes: KeeperNodes,
  load: Load,
  publish: (stamp: string) => Promise<Published>,
): Promise<void> {
  for (let at = 0; at < WARM_UP; at++) {
    await publish(`warm-up-${at}`);
    await pause(load.periodMs);
  }
  await nodes.take();
  const published = new Map<string, Published>();
  const before = { keeper: cpuSeconds([keeper.pid]), nodes: cpuSeconds(nodes.pids) };
  const startedAt = performance.now();
  for (let at = 0; at < load.changes; at++) {
    await pause(Math.max(0, startedAt + at * load.periodMs - performance.now()));
    published.set(`stamp-${at}`, await publish(`stamp-${at}`));
  }
  const received = await takeAll(nodes, load);
  const used = {
    keeper: cpuSeconds([keeper.pid]) - before.keeper,
    nodes: cpuSeconds(nodes.pids) - before.nodes,
  };
  printLatencies(published, received, load);
  printCpu(used, load);
}

/** Everything that the nodes got, once all of them have the last change. */
async function takeAll(nodes: KeeperNodes, load: Load): Promise<Received[]> {
  const received: Received[] = [];
  const last = `stamp-${load.changes - 1}`;
  const deadline = performance.now() + LAST_WAIT_MS;
  while (received.filter(([stamp]) => stamp === last).length < load.nodes) {
    if (performance.now() > deadline) throw new Error('not every node has got the last change');
    await pause(100);
    received.push(...(await nodes.take()));
  }
  return received;
}

function printLatencies(
  published: ReadonlyMap<string, Published>,
  received: readonly Received[],
  load: Load,
): void {
  const since = (from: keyof Published): number[] =>
    received.map(([stamp, atMs]) => atMs - (published.get(stamp)?.[from] ?? Number.NaN));
  const fromCall = since('calledAtMs');
  const publishing = [...published.values()].map((one) => one.answeredAtMs - one.calledAtMs);
  printMs('call of Publish to callback', fromCall);
  printMs('its answer to callback', since('answeredAtMs'));
  printMs('call of Publish to its answer', publishing);
  const skipped = load.nodes * load.changes - received.length;
  if (skipped > 0) console.log(`  ${skipped} times a node got a newer change instead`);
  if (load.goal)
    printGoal('p99 from call to callback, ms', quantile(fromCall, 0.99), GOAL_MS, 'less');
}

function printMs(name: string, values: readonly number[]): void {
  const [p50, p99, most] = [0.5, 0.99, 1].map((part) => quantile(values, part).toFixed(1));
  console.log(`  ${name.padEnd(38)} p50 ${p50} ms, p99 ${p99} ms, most ${most} ms`);
}

function printCpu(used: { keeper: number; nodes: number }, { nodes, changes }: Load): void {
  const micros = (seconds: number): string => ((seconds * 1e6) / nodes / changes).toFixed(0);
  console.log(
    `  ${'CPU a node and change'.padEnd(38)} keeper ${micros(used.keeper)} us, node ${micros(used.nodes)} us`,
  );
}

async function printIdle({ pid }: KeeperProcess, { nodes }: Load): Promise<void> {
  const before = cpuSeconds([pid]);
  await pause(IDLE_MS);
  const share = (cpuSeconds([pid]) - before) / (IDLE_MS / 1_000);
  console.log(
    `  ${'keeper without changes'.padEnd(38)} ${(share * 100).toFixed(1)} % of a CPU, ${((share * 1e6) / nodes).toFixed(0)} us a node and second`,
  );
}

function printMemory(mib: number, { nodes }: Load): void {
  console.log(
    `  ${'memory of the keeper a node'.padEnd(38)} ${((mib * 1024) / nodes).toFixed(0)} KiB`,
  );
}

async function settledMib({ pid }: KeeperProcess): Promise<number> {
  await pause(SETTLE_MS);
  return residentMib(pid).own;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
