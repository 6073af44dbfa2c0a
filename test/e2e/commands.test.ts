import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { common } from '@malabar/contracts';
import { eventually, run, tempDir } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type HttpConsumer, startHttpConsumer } from './http-consumer.js';

const { DeliveryState } = common;
const GIGABYTE = 1_073_741_824;
const dir = tempDir('commands');
const PATIENCE = { timeoutMs: 60_000 };

/** What runs, as lines for /bin/sh. Each writes the process ids that it is made of. */
const pids = (name: string): string => join(dir, `${name}.pids`);
const note = (name: string): string => `echo $$ >> ${pids(name)};`;
const child = (name: string): string =>
  `(trap "" TERM; echo $(exec sh -c 'echo $PPID') >> ${pids(name)}; while :; do sleep 1; done) &`;

/** Goes on when so many have written theirs: a child that has not begun would leave no trace. */
const all = (name: string, count: number): string =>
  `until [ "$(wc -l < ${pids(name)})" -ge ${count} ]; do sleep 0.01; done;`;

const once = 'retry: { attempts: 1 }';
const twice = 'retry: { attempts: 2, backoff: fixed, min: 20ms, max: 20ms }';

const command = (line: string, more = '', retry = once): string =>
  `{ target: { command: { shell: ${JSON.stringify(line)}, grace: 300ms } }, ${retry} ${more} }`;

const documents = (neighbour: string): string => `
queues:
  stubborn: { topics: { t: ${command(`trap "" TERM; ${note('stubborn')} ${child('stubborn')} echo half done; while :; do sleep 1; done`, ', timeout: 1s')} } }
  family: { topics: { t: ${command(`${note('family')} ${child('family')} ${child('family')} ${all('family', 3)} exit 0`)} } }
  flood: { topics: { t: ${command(`head -c ${GIGABYTE} /dev/zero | tr "\\0" x; echo the end; exit 5`, ', timeout: 2m')} } }
  killed: { topics: { t: ${command('exit 137', '', 'retry: { attempts: 9, crashes: 2, backoff: fixed, min: 20ms, max: 20ms }')} } }
  missing: { topics: { t: { target: { command: [no-such-program] }, ${twice} } } }
  long: { topics: { t: ${command(`cat >> ${join(dir, 'long.bodies')}; ${note('long')} ${child('long')} sleep 1000`, ', timeout: 1h')} } }
  elsewhere: { topics: { t: { target: { command: { argv: ['true'], tag: batch } } } } }
  neighbour: { topics: { t: { target: '${neighbour}' } } }
`;

let consumer: HttpConsumer;
let bus: Bus;
let redis: Redis;

beforeAll(async () => {
  consumer = await startHttpConsumer();
  bus = await startBus({
    mode: 'many-processes',
    documents: documents(consumer.url),
    settings: ['dispatcher.drain=1s'],
  });
  redis = new Redis({ port: bus.ports.redis, host: '127.0.0.1' });
});

afterAll(async () => {
  redis?.disconnect();
  await bus?.stop();
  await consumer?.stop();
});

const push = async (queue: string): Promise<string> =>
  (await redis.call('ADDJOB', queue, `to ${queue}`, '0')) as string;

async function deliveryOf(jobId: string) {
  return (await bus.storage.getJob({ jobId })).deliveries[0];
}

/** The delivery once it is dead. */
async function dead(jobId: string) {
  let delivery = await deliveryOf(jobId);
  await eventually(async () => {
    delivery = await deliveryOf(jobId);
    expect(delivery?.state).toBe(DeliveryState.DEAD);
  }, PATIENCE);
  return delivery;
}

const processes = (name: string): string[] =>
  existsSync(pids(name)) ? readFileSync(pids(name), 'utf8').trim().split('\n') : [];
const alive = (name: string): string[] =>
  processes(name).filter((pid) => existsSync(`/proc/${pid}`));

async function metric(name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${bus.ports.ops.dispatcher}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await answer.text())?.[1]);
}

const memory = (): Promise<number> => metric('process_resident_memory_bytes');

describe('whatever a command does, its run ends, the state is right and nobody else suffers', () => {
  test('one that ignores SIGTERM and forks ends at its limit, and its children with it', async () => {
    const delivery = await dead(await push('stubborn'));
    expect(delivery?.history).toMatchObject([
      { errorCode: 'TIMEOUT', error: 'stopped at its limit of 1000 ms: half done' },
    ]);
    expect(processes('stubborn')).toHaveLength(2);
    await eventually(() => expect(alive('stubborn')).toEqual([]));
  });

  test('grandchildren that hold the output open do not hold up a yes, and end with it', async () => {
    const id = await push('family');
    await eventually(async () => expect((await deliveryOf(id))?.state).toBe(DeliveryState.DONE));
    expect(processes('family')).toHaveLength(3);
    await eventually(() => expect(alive('family')).toEqual([]));
  });

  test('a gigabyte of output keeps memory small, and neighbours are served meanwhile', async () => {
    const before = await memory();
    const flood = dead(await push('flood'));
    let ended = false;
    let highest = 0;
    const over = flood.finally(() => {
      ended = true;
    });
    const waits: number[] = [];
    while (!ended) {
      const pushed = Date.now();
      const count = consumer.received.length;
      await push('neighbour');
      await eventually(() => expect(consumer.received.length).toBeGreaterThan(count));
      waits.push(Date.now() - pushed);
      highest = Math.max(highest, await memory());
    }
    const [attempt] = (await over)?.history ?? [];
    expect(attempt?.errorCode).toBe('EXIT_5');
    expect(attempt?.error).toMatch(/^exit code 5: x+\n\[\.\.\. 1,0\d\d,\d{3},\d{3} bytes are left/);
    expect(attempt?.error).toMatch(/x\nthe end$|xthe end$/);
    expect(Buffer.byteLength(attempt?.error ?? '')).toBeLessThanOrEqual(16 * 1024);
    expect(waits.length).toBeGreaterThan(3);
    expect(Math.max(...waits)).toBeLessThan(5_000);
    expect(highest - before).toBeLessThan(200 * 1024 * 1024);
  });

  test('exit code 137 is a crash: the job is quarantined before its attempts are used up', async () => {
    expect(await dead(await push('killed'))).toMatchObject({
      attempts: 2,
      quarantined: true,
      history: Array(2).fill({
        errorCode: 'EXIT_137',
        error: 'exit code 137 (killed, perhaps out of memory)',
      }),
    });
  });

  test('a program that does not exist is tried as the policy says, and every try says why', async () => {
    expect(await dead(await push('missing'))).toMatchObject({
      attempts: 2,
      quarantined: false,
      history: Array(2).fill({
        errorCode: 'NOT_STARTED',
        error: "not started: there is no program 'no-such-program' in PATH",
      }),
    });
  });
});

test('a command whose tag nobody carries waits', async () => {
  const id = await push('elsewhere');
  await push('neighbour');
  expect((await deliveryOf(id))?.state).toBe(DeliveryState.READY);
  const { stdout } = await malabar('queues', 'elsewhere');
  expect(stdout).toContain('no dispatcher carries the tag batch');
});

test('kill -9 of the dispatcher ends its commands, and the next one runs them again', async () => {
  const id = await push('long');
  await eventually(() => expect(alive('long')).toHaveLength(2));
  await bus.kill('dispatcher', 'SIGKILL');
  await eventually(() => expect(alive('long')).toEqual([]));
  await bus.start('dispatcher');
  await eventually(() => expect(alive('long')).toHaveLength(2), PATIENCE);
  expect(readFileSync(join(dir, 'long.bodies'), 'utf8')).toBe('to longto long');
  expect(processes('long')).toHaveLength(4);
  // One that stops in order ends them when its drain is over, and gives them back.
  await bus.kill('dispatcher', 'SIGTERM');
  await eventually(() => expect(alive('long')).toEqual([]));
  expect(await deliveryOf(id)).toMatchObject({ state: DeliveryState.READY, attempts: 0 });
  await bus.start('dispatcher');
});

function malabar(...args: string[]) {
  const bin = join(import.meta.dirname, '../../services/cli/bin/malabar.js');
  const address = `127.0.0.1:${bus.ports.grpc.keeper}`;
  return run(process.execPath, [bin, ...args, '--address', address]);
}
