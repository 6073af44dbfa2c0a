import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { config } from '@malabar/contracts';
import { connect, type RemoteClient } from '@malabar/rpc';
import { type RunningProcess, start } from '@malabar/runtime';
import type { Logger } from '@malabar/telemetry';
import { logToMemory, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { keeperModule } from '../module.js';
import { set } from './store.suite.js';

let stop: Array<() => unknown> = [];

afterEach(async () => {
  for (const one of stop.reverse()) await one();
  stop = [];
});

interface Running {
  process: RunningProcess;
  client: RemoteClient<typeof config.ConfigServiceDefinition>;
}

async function keeper(data: string, flags: Record<string, string> = {}): Promise<Running> {
  const all = { data, 'grpc.listen': '127.0.0.1:0', 'ops.listen': '127.0.0.1:0', ...flags };
  const process = await start({
    modules: [keeperModule],
    config: loadConfig({ flags: all }),
    log: logToMemory<Logger>().log,
  });
  stop.push(() => process.stop());
  const client = connect(config.ConfigServiceDefinition, { address: process.grpcAddress });
  stop.push(() => client.close());
  return { process, client };
}

const SETTINGS = { system: '', description: 'The shop', fourEyes: false, history: 0 };

test('a domain is made, edited, published and read over gRPC, and outlives the process', async () => {
  const data = tempDir('keeper');
  const { client, process } = await keeper(data);
  await client.putDomain({ domain: 'shop', settings: SETTINGS, settingsRevision: 0 });
  const operations = [set('timeout', '3s', 'duration'), set('password', 'hunter2', 'secret')];
  const edit = { domain: 'shop', operations, draftRevision: 0, baseRelease: 0 };
  expect((await client.editDraft(edit)).draft).toMatchObject({ revision: 1, authors: ['local'] });
  const publish = config.PublishRequest.fromPartial({ domain: 'shop', draftRevision: 1 });
  expect((await client.publish(publish)).release).toMatchObject({ number: 1, author: 'local' });
  await expect(client.publish(publish)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringMatching(/^release 1 by local at .* came first; you saw 0$/),
  });
  await client.close();
  await process.stop();
  const again = await keeper(data);
  const all = { domain: 'shop', state: undefined, path: '' };
  const masked = await again.client.getFiles({ ...all, reveal: false });
  expect(masked.files[0]?.sections[0]?.entries).toMatchObject([
    { key: 'password', raw: '******' },
    { key: 'timeout', raw: '3s', type: 'time.Duration' },
  ]);
  const revealed = await again.client.getFiles({ ...all, reveal: true });
  expect(revealed.files[0]?.sections[0]?.entries[0]).toMatchObject({ raw: 'hunter2' });
  const subscriptions = [{ file: '/app.conf', section: '', verbatim: false }];
  const effective = { domain: 'shop', state: undefined, nodeId: 'n', subscriptions };
  expect((await again.client.getEffective(effective)).config).toMatchObject({
    release: 1,
    files: [{ name: 'app', values: [{ raw: '******' }, { json: '3000000000' }] }],
  });
});

test('a keeper with another secret key does not start, and says which it needs', async () => {
  const data = tempDir('keeper');
  const one = await keeper(data);
  await one.client.putDomain({ domain: 'shop', settings: SETTINGS, settingsRevision: 0 });
  const operations = [set('password', 'hunter2', 'secret')];
  await one.client.publish(config.PublishRequest.fromPartial({ domain: 'shop', operations }));
  await one.client.close();
  await one.process.stop();
  const file = join(data, 'keeper', 'secret.key');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  writeFileSync(file, 'another key of thirty-two characters\n');
  await expect(keeper(data)).rejects.toThrow(
    /the secrets are kept under secret key [0-9a-f]{8}, given: [0-9a-f]{8}/,
  );
});

test('figures of releases, refusals and the backend are exported', async () => {
  const { client, process } = await keeper(tempDir('keeper'));
  await client.putDomain({ domain: 'shop', settings: SETTINGS, settingsRevision: 0 });
  const publish = config.PublishRequest.fromPartial({
    domain: 'shop',
    operations: [set('a', '1')],
  });
  await client.publish(publish);
  await client.publish(publish).catch(() => {});
  const text = await (await fetch(`http://${process.opsAddress}/metrics`)).text();
  expect(text).toContain('malabar_keeper_releases_total{action="publish"}');
  expect(text).toContain('malabar_keeper_config_writes_refused_total{code="CONFLICT"} 1');
  expect(text).toContain('malabar_keeper_backend_up 1');
  expect(text).toMatch(/malabar_keeper_domains [1-9]/);
});
