import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, type scheduler } from '@malabar/contracts';
import { eventually, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';
import { type BusProcess, busProcess } from '../harness/process.js';

const { READY, DONE, DISCARDED } = common.DeliveryState;
const PATIENCE = { timeoutMs: 60_000 };
const open: Array<{ stop(): Promise<void> }> = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

async function start(documents: string): Promise<Bus> {
  const bus = await startBus({ documents });
  open.push(bus);
  return bus;
}

/** A dispatcher of the bus in a process of its own. */
async function dispatcher(bus: Bus, node: string, tags: string): Promise<BusProcess> {
  const made = await busProcess({
    services: ['dispatcher'],
    node,
    dir: bus.dir,
    keepers: [`127.0.0.1:${bus.ports.grpc.all}`],
    settings: [`dispatcher.tags=${tags}`],
  });
  open.push(made);
  await made.start();
  return made;
}

async function runs(command: CommandLine, schedule: string): Promise<scheduler.ScheduledRun[]> {
  const { runs } = await command.json<scheduler.ListRunsResponse>('schedules', 'runs', schedule);
  return [...runs];
}

/** What the commands have written, by the nominal time of their fire: `node index total`. */
function written(file: string): Map<string, string[]> {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  const fires = new Map<string, string[]>();
  for (const line of lines) {
    const [nominal = '', ...part] = line.split(' ');
    fires.set(nominal, [...(fires.get(nominal) ?? []), part.join(' ')].sort());
  }
  return fires;
}

const NOTE = 'echo "$MALABAR_HEADER_MALABAR_NOMINAL $MALABAR_NODE $MALABAR_INDEX $MALABAR_TOTAL"';

test('a fire runs once on each node that is there, whichever come and go', async () => {
  const file = join(tempDir('broadcast'), 'fires');
  const bus = await start(`
queues: {}
schedules:
  sweep:
    every: 2s
    overlap: allow
    run: { shell: '${NOTE} >> ${file}', tag: batch, on: all, wait: 2s }
  after-sweep:
    after: { schedules: [sweep], on: always }
    overlap: allow
    run: [echo, "swept"]
`);
  const command = commandLine(bus);
  const seen = (...parts: string[]) =>
    eventually(() => expect([...written(file).values()].at(-1)).toEqual(parts), PATIENCE);
  await dispatcher(bus, 'web-1', 'batch');
  const gone = await dispatcher(bus, 'web-2', 'batch');
  await dispatcher(bus, 'web-9', 'other');
  await seen('web-1 0 2', 'web-2 1 2');
  await gone.kill();
  await seen('web-1 0 1');
  await dispatcher(bus, 'web-3', 'batch');
  await seen('web-1 0 2', 'web-3 1 2');
  await command.ok('dispatchers', 'drain', 'web-1', '-m', 'new disk');
  await seen('web-3 0 1');
  await command.ok('schedules', 'pause', 'sweep', '-m', 'that is enough');

  const fires = written(file);
  for (const parts of fires.values()) {
    const nodes = parts.map((part) => part.split(' ')[0]);
    const totals = new Set(parts.map((part) => part.split(' ')[2]));
    expect(new Set(nodes).size, parts.join()).toBe(nodes.length);
    expect(totals.size, parts.join()).toBe(1);
  }
  const nominals = [...fires.keys()].map(Number).sort((a, b) => a - b);
  expect(nominals).toEqual(nominals.map((_, at) => (nominals[0] as number) + at * 2_000));

  const history = await eventually(async () => {
    const found = (await runs(command, 'sweep')).filter(({ total }) => total > 0);
    expect(found.every(({ state }) => state === DONE || state === DISCARDED)).toBe(true);
    return found;
  }, PATIENCE);
  expect(history).toContainEqual(expect.objectContaining({ node: 'web-3', index: 1, total: 2 }));
  expect(await command.ok('schedules', 'runs', 'sweep')).toMatch(/web-2\S* +2 of 2/);
  const whole = new Set(history.map(({ run }) => run));
  await eventually(async () => {
    const followers = await runs(command, 'after-sweep');
    const parents = await Promise.all(followers.map((run) => parentOf(bus, run)));
    expect(new Set(parents).size).toBe(parents.length);
    expect(parents.filter((run) => whole.has(run)).length).toBe(whole.size);
  }, PATIENCE);
});

async function parentOf(bus: Bus, { jobId }: scheduler.ScheduledRun): Promise<string> {
  const { job } = await bus.storage.getJob({ jobId });
  return JSON.parse(job?.headers['malabar-parents'] ?? '[]')[0]?.run;
}

test('a part whose node dies waits for it and says so, and runs there again', async () => {
  const file = join(tempDir('broadcast'), 'parts');
  const bus = await start(`
queues: {}
schedules:
  long:
    at: "2020-01-01"
    run: { shell: '${NOTE} >> ${file}; test $MALABAR_NODE = web-1 || test -e ${file}.go || sleep 600', tag: batch, on: all, wait: 1h }
`);
  const command = commandLine(bus);
  await dispatcher(bus, 'web-1', 'batch');
  const dying = await dispatcher(bus, 'web-2', 'batch');
  await command.ok('schedules', 'trigger', 'long');
  await eventually(() => expect([...written(file).values()]).toEqual([['web-1 0 2', 'web-2 1 2']]));
  await dying.kill();
  await eventually(async () => {
    const [, part] = await runs(command, 'long');
    expect(part).toMatchObject({ state: READY, waits: 'waits for node web-2, which is away' });
  }, PATIENCE);
  expect(await command.ok('queues')).toMatch(/some wait for node web-2, which is away/);
  const [, part] = await runs(command, 'long');
  expect(await command.ok('jobs', 'show', part?.jobId ?? '')).toMatch(/node +web-2[\s\S]*is away/);
  writeFileSync(`${file}.go`, '');
  await dying.start();
  await eventually(async () => {
    const parts = await runs(command, 'long');
    expect(parts.map(({ state }) => state)).toEqual([DONE, DONE]);
  }, PATIENCE);
  expect([...written(file).values()]).toEqual([['web-1 0 2', 'web-2 1 2', 'web-2 1 2']]);
});

test('without a node that carries the tag there is no run, and that is told', async () => {
  const bus = await start(`
queues: {}
schedules:
  nowhere: { at: "2020-01-01", run: { shell: 'true', tag: nobody, on: all } }
`);
  const command = commandLine(bus);
  await command.ok('schedules', 'trigger', 'nowhere');
  await eventually(async () => {
    expect(await runs(command, 'nowhere')).toMatchObject([
      { skipped: 'no_node', state: DISCARDED, total: 0 },
    ]);
  }, PATIENCE);
  expect(await command.ok('schedules', 'runs', 'nowhere')).toMatch(/did not run.*no_node/);
  const metrics = await (await fetch(`http://127.0.0.1:${bus.ports.ops.all}/metrics`)).text();
  expect(metrics).toMatch(/malabar_scheduler_skipped_total\{reason="no_node"\} 1/);
});

test('a run whose place is taken before anybody begins it is taken back; so is any job by hand', async () => {
  const bus = await start(`
queues: { q: { topics: { inbox: { target: pull } } } }
schedules:
  waiting: { every: 2s, overlap: replace, run: { shell: 'true', tag: nobody } }
`);
  const command = commandLine(bus);
  await eventually(async () => {
    const taken = (await runs(command, 'waiting')).filter(({ state }) => state === DISCARDED);
    expect(taken[0]?.error).toMatch(/replaced by the next/);
  }, PATIENCE);
  const id = await command.ok('push', 'q', 'wrong');
  const jobId = /[0-9a-f-]{36}/.exec(id)?.[0] ?? '';
  expect(await command.ok('jobs', 'discard', jobId, '-m', 'not this one')).toBe('1 discarded');
  expect(await command.ok('jobs', 'discard', jobId)).toBe('0 discarded');
  const { deliveries } = await bus.storage.getJob({ jobId });
  expect(deliveries).toMatchObject([{ state: DISCARDED, errorCode: 'DISCARDED' }]);
  expect(deliveries[0]?.error).toMatch(/^discarded by .*: not this one$/);
  expect(bus.log('all')).toMatch(/jobs were taken back/);
});
