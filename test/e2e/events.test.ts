import { expect, onTestFinished, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { commandLine } from '../harness/command.js';
import { RespSocket } from '../harness/resp-socket.js';

async function start(documents: string): Promise<Bus> {
  const bus = await startBus({ documents });
  onTestFinished(() => bus.stop());
  return bus;
}

const unheard = async (bus: Bus): Promise<string | undefined> => {
  const response = await fetch(`http://127.0.0.1:${bus.ports.ops.all}/metrics`);
  const lines = (await response.text()).split('\n');
  return lines.find((line) => line.startsWith('malabar_ingest_jobs_unheard_total{'));
};

test('an event says which tasks get it; one for nobody is reported, whoever publishes it', async () => {
  const bus = await start(`
queues:
  order_paid: { topics: { ship: { target: pull }, mail: { target: pull } } }
  orphan: { topics: {} }
`);
  const command = commandLine(bus);
  const event = { order: 'FB138' };
  const published = await command.ok('event', 'publish', 'order_paid', JSON.stringify(event));
  const [id = '', tasks] = published.split('\n');
  expect(tasks).toBe('for mail, ship');
  const { job, deliveries } = await bus.storage.getJob({ jobId: id });
  expect(JSON.parse(Buffer.from(job?.body ?? '').toString())).toEqual(event);
  expect(deliveries.map(({ topic }) => topic).sort()).toEqual(['mail', 'ship']);
  expect(await unheard(bus)).toBeUndefined();

  const { code, stderr } = await command.run('event', 'publish', 'orphan', '{}');
  expect(code).toBe(4);
  expect(stderr).toContain(
    "no task is registered for the event 'orphan', so nothing was published",
  );
  const socket = await RespSocket.open(bus.ports.redis);
  await socket.ask('LPUSH', 'orphan', '{}');
  socket.close();
  expect(await unheard(bus)).toBe('malabar_ingest_jobs_unheard_total{queue="orphan"} 1');
  expect(await command.ok('queues')).toMatch(/orphan .*no topics/);
});
