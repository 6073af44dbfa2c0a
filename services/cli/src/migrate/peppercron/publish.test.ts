import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { config } from '@malabar/contracts';
import { type Client, connect } from '@malabar/rpc';
import { start } from '@malabar/runtime';
import { tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { modules } from '../../module.js';
import type { PlannedSchedule } from './convert.js';
import { publishSchedules } from './publish.js';

const timeoutMs = 10_000;
type Service = Client<config.ConfigServiceDefinition>;

/** The configuration service of a real keeper. */
async function keeper(): Promise<Service> {
  const flags = {
    data: join(tempDir('cli-publish'), 'data'),
    'log.level': 'error',
    'grpc.listen': '127.0.0.1:0',
    'ops.listen': '127.0.0.1:0',
  };
  const only = modules.filter(({ name }) => name === 'keeper');
  const running = await start({ modules: only, config: loadConfig({ env: {}, flags }) });
  onTestFinished(() => running.stop());
  const client = connect(config.ConfigServiceDefinition, { address: running.grpcAddress });
  onTestFinished(() => client.close());
  return client;
}

const schedule = (name: string, minute = 0): PlannedSchedule => ({
  name,
  document: { cron: `0 ${minute} * * * *`, fields: 6, zone: 'UTC', run: { command: ['true'] } },
});

test('whoever publishes in between is not overwritten, and is named', async () => {
  const service = await keeper();
  const publish = (name: string, through = service) =>
    publishSchedules({ service: through, timeoutMs }, [schedule(name)], { replace: false });
  await publish('before');
  const overtaken: Service = {
    ...service,
    validate: async (request, options) => {
      const verdict = await service.validate(request, options);
      await publish('meanwhile');
      return verdict;
    },
  };
  const lost = await publish('ours', overtaken).catch((error) => error);
  expect(lost).toMatchObject({ code: 'CONFLICT' });
  expect(lost.message).toMatch(/release \d+ by \S+ at \S+ came first; you saw \d+/);
  const again = await publish('ours');
  expect(again).toMatchObject({ added: ['ours'], changed: [], same: [] });
});

test('many schedules are one release or, if the keeper refuses one, none', async () => {
  const service = await keeper();
  const access = { service, timeoutMs };
  const many = Array.from({ length: 1_000 }, (_, at) => schedule(`job-${at}`, at % 60));
  const broken = { ...schedule('broken'), document: { run: { command: ['true'] } } };
  const refused = publishSchedules(access, [...many, broken], { replace: false });
  await expect(refused).rejects.toThrow(/\[broken\].*needs one of cron/);
  const published = await publishSchedules(access, many, { replace: false });
  expect(published.added).toHaveLength(1_000);
  const { releases } = await service.listReleases(
    { domain: 'malabar', before: 0, limit: 10 },
    { timeoutMs },
  );
  expect(releases[0]).toMatchObject({ note: 'from peppercron', keys: 1_000 });
  expect(releases.filter(({ note }) => note === 'from peppercron')).toHaveLength(1);
});
