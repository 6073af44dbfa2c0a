import { common } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { RespSocket } from '../harness/resp-socket.js';

const { READY, SCHEDULED } = common.DeliveryState;
const HOUR_S = 3_600;
const QUARTER_S = 90 * 24 * HOUR_S;

let bus: Bus;
let socket: RespSocket;

beforeAll(async () => {
  bus = await startBus({
    documents: 'queues: { later: { topics: { one: { target: pull }, two: { target: pull } } } }',
  });
  socket = await RespSocket.open(bus.ports.redis);
});

afterAll(async () => {
  socket?.close();
  await bus?.stop();
});

const add = async (body: string, seconds: number): Promise<string> =>
  (await socket.ask('ADDJOB', 'later', body, '0', 'DELAY', String(seconds))) as string;

const deliveriesOf = async (jobId: string) => (await bus.storage.getJob({ jobId })).deliveries;

test("a delay stands in nobody else's way, and one of months survives kill -9", async () => {
  const [quarter, hour] = [await add('quarter', QUARTER_S), await add('hour', HOUR_S)];
  const second = await add('second', 1);
  const due = (await deliveriesOf(quarter)).map(({ dueAtMs }) => dueAtMs);
  await eventually(async () => expect(await deliveriesOf(second)).toMatchObject(bothAre(READY)));
  expect(await deliveriesOf(hour)).toMatchObject(bothAre(SCHEDULED));

  await bus.kill('all', 'SIGKILL');
  await bus.start('all');
  const after = await deliveriesOf(quarter);
  expect(after).toMatchObject(bothAre(SCHEDULED));
  expect(after.map(({ dueAtMs }) => dueAtMs)).toEqual(due);
  expect((due[0] as number) - (after[0]?.acceptedAtMs ?? 0)).toBeGreaterThan(QUARTER_S * 999);
  expect(await deliveriesOf(hour)).toMatchObject(bothAre(SCHEDULED));
  expect(await deliveriesOf(second)).toMatchObject(bothAre(READY));
});

const bothAre = (state: common.DeliveryState) => [
  { topic: 'one', state },
  { topic: 'two', state },
];
