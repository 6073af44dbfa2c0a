import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfig } from '@malabar/config';
import { discovery, metrics } from '@malabar/contracts';
import { bind, connect, type Implementation } from '@malabar/rpc';
import { type Module, start } from '@malabar/runtime';
import type { Logger } from '@malabar/telemetry';
import { eventually, freePort, logToMemory } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { createGatherer } from './gatherer.js';
import { metricsModule } from './module.js';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const serviceOf = (instances: discovery.Instance[]): discovery.Service =>
  discovery.Service.fromPartial({ name: 'any', instances });

/** A keeper that knows what it is told. */
function keeperOf(instances: Map<string, discovery.Instance>): Module {
  const implementation: Partial<Implementation<typeof discovery.DiscoveryServiceDefinition>> = {
    async register(request) {
      for (const instance of request.instances) {
        instances.set(`${instance.id}/${instance.service}`, instance);
      }
      return { renewAfterMs: 0 };
    },
    deregister: async () => ({}),
    resolve: async () => ({ services: [serviceOf([...instances.values()])] }),
  };
  return {
    name: 'keeper',
    needs: [],
    start: async () => ({
      bindings: [bind(discovery.DiscoveryServiceDefinition, implementation as never)],
      stop: async () => {},
    }),
  };
}

async function begin(modules: Module[], flags: Record<string, string> = {}) {
  const listens = ['grpc.listen', 'ops.listen', 'metrics.listen'];
  const ports = Object.fromEntries(listens.map((key) => [key, '127.0.0.1:0']));
  const config = loadConfig({ env: {}, flags: { ...ports, node: 'bus-1', ...flags } });
  const { log, entries } = logToMemory<Logger>();
  const process = await start({ modules, config, log });
  cleanups.push(() => process.stop());
  return { ...process, entries };
}

/** A process that answers its operators as `listener` says. */
async function processThat(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const instance = (id: string, ops: string): discovery.Instance =>
  discovery.Instance.fromPartial({ id, service: 'storage', addresses: { ops } });

test('figures are gathered once a process, whatever the number of its services', async () => {
  const instances = new Map<string, discovery.Instance>();
  const { grpcAddress } = await begin([metricsModule, keeperOf(instances)]);
  const client = connect(metrics.MetricsServiceDefinition, { address: grpcAddress });
  cleanups.push(() => client.close());
  await eventually(() => expect(instances.size).toBe(2));
  const { processes } = await client.gather({});
  expect(processes).toMatchObject([
    { instanceId: 'bus-1', services: ['keeper', 'metrics'], error: '' },
  ]);
  expect(processes[0]?.text).toContain('process_cpu_seconds_total');
});

test('the bus is scraped at one address; a process that does not answer is told', async () => {
  const instances = new Map<string, discovery.Instance>();
  const silent = `127.0.0.1:${await freePort()}`;
  instances.set('dead/storage', instance('dead/storage', silent));
  const { addresses, entries } = await begin([metricsModule, keeperOf(instances)]);
  await eventually(() => expect(instances.size).toBe(3));
  const response = await fetch(`http://${addresses['metrics.http']}/metrics`);
  const text = await response.text();
  expect(response.headers.get('content-type')).toContain('version=0.0.4');
  expect(text).toMatch(/^process_cpu_seconds_total\{instance="bus-1"\} /m);
  expect(text).toContain('malabar_metrics_answering_processes{instance="bus-1"} 1');
  expect(text).toContain('malabar_metrics_answering_processes{instance="dead/storage"} 0');
  expect(text.match(/^# TYPE malabar_metrics_answering_processes/gm)).toHaveLength(1);
  expect(entries.filter(({ fields }) => 'instance' in fields)).toMatchObject([
    {
      level: 'warn',
      fields: { instance: 'dead/storage', reason: expect.stringContaining(silent) },
    },
  ]);
  expect((await fetch(`http://${addresses['metrics.http']}/other`)).status).toBe(404);
});

test('without a keeper the scrape fails and says why', async () => {
  const flags = { 'addresses.keeper': `127.0.0.1:${await freePort()}` };
  const { addresses } = await begin([metricsModule], flags);
  const response = await fetch(`http://${addresses['metrics.http']}/metrics`);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain('DiscoveryService/Resolve');
});

const gather = (instances: discovery.Instance[], fetchMsMax?: number) =>
  createGatherer(
    { resolve: async () => ({ services: [serviceOf(instances)] }) } as never,
    fetchMsMax,
  ).gather();

test('a process that is broken or endless costs its own figures only', async () => {
  const failing = await processThat((_, response) => response.writeHead(500).end('no'));
  const endless = await processThat((_, response) => {
    const block = 'x'.repeat(1024 * 1024);
    const write = (): void => {
      while (response.write(block));
    };
    response.on('drain', write);
    write();
  });
  const well = await processThat((_, response) => response.end('jobs 1\n'));
  const instances = [
    instance('endless', endless),
    instance('failing', failing),
    instance('well', well),
  ];
  expect(await gather(instances, 30_000)).toMatchObject([
    { instanceId: 'endless', text: '', error: expect.stringContaining('without an end') },
    { instanceId: 'failing', text: '', error: expect.stringContaining('HTTP 500') },
    { instanceId: 'well', text: 'jobs 1\n', error: '' },
  ]);
});

test('a process that is silent is given up', async () => {
  const silent = await processThat(() => {});
  expect(await gather([instance('silent', silent)], 50)).toMatchObject([
    { instanceId: 'silent', text: '', error: expect.stringContaining('timeout') },
  ]);
});

test('a listener that others can read must be wished for', async () => {
  const modules = [metricsModule, keeperOf(new Map())];
  const open = { 'metrics.listen': '0.0.0.0:0' };
  await expect(begin(modules, open)).rejects.toMatchObject({ code: 'INVALID' });
  const { entries } = await begin(modules, { ...open, 'grpc.insecure': 'true' });
  const warning = { level: 'warn', message: expect.stringContaining('insecure: true') };
  expect(entries).toContainEqual(expect.objectContaining(warning));
});
