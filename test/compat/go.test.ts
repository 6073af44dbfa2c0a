import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  eventually,
  needs,
  packages,
  run,
  type Server,
  spawnServer,
  tempDir,
} from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';

const sources = fileURLToPath(new URL('./go/', import.meta.url));
const protos = fileURLToPath(new URL('../../proto/', import.meta.url));
const CONTRACTS = [
  'common/v1/job',
  'common/v1/batch',
  'ingest/v1/ingest',
  'dispatcher/v1/dispatcher',
];
const requirements = [
  await packages.golang(),
  await packages.golangGrpc(),
  await packages.golangProtobuf(),
  await packages.protobufCompiler(),
];
const documents = `queues:
  orders:
    topics:
      ship: { target: grpc, retry: { attempts: 2, min: 20ms, max: 20ms, backoff: fixed } }
`;

/** Makes Go code of the contracts and builds the peer with Debian's libraries, without a network. */
async function build(): Promise<string> {
  const path = tempDir('go');
  const peer = join(path, 'src/malabar/peer');
  mkdirSync(peer, { recursive: true });
  cpSync(sources, peer, { recursive: true });
  const packageOf = (file: string) =>
    `Mmalabar/${file}.proto=malabar/${file.replace(/\/\w+$/, '')}`;
  const wrappers = 'Mgoogle/protobuf/wrappers.proto=github.com/golang/protobuf/ptypes/wrappers';
  const options = ['plugins=grpc', 'paths=source_relative', wrappers];
  const plugin = [...options, ...CONTRACTS.map(packageOf)].join(',');
  // This protoc-gen-go makes one Go package at a time.
  for (const file of CONTRACTS) {
    const out = `--go_out=${plugin}:${join(path, 'src')}`;
    await succeeds('protoc', [`--proto_path=${protos}`, out, `malabar/${file}.proto`]);
  }
  const env = { GO111MODULE: 'off', GOPATH: `${path}:/usr/share/gocode`, CGO_ENABLED: '0' };
  await succeeds('go', ['build', '-o', join(path, 'peer'), 'malabar/peer'], env);
  return join(path, 'peer');
}

async function succeeds(command: string, args: string[], env: Record<string, string> = {}) {
  const { code, stderr } = await run(command, args, { env, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
}

needs(describe, ...requirements)('a producer and a worker in Go', () => {
  let bus: Bus;
  let peer: string;
  let worker: Server | undefined;

  beforeAll(async () => {
    [peer, bus] = await Promise.all([build(), startBus({ documents })]);
  }, 300_000);

  afterAll(async () => {
    await worker?.stop();
    await bus?.stop();
  });

  const address = () => `127.0.0.1:${bus.ports.grpc.all}`;
  const seen = () =>
    (worker?.log() ?? '')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));

  test('an unknown queue is refused by name', async () => {
    const { code, stderr } = await run(peer, ['produce', address(), 'nowhere', 'x']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/NotFound.*nowhere/);
  });

  test('jobs come with ids, bodies and headers, and outcomes count', async () => {
    const args = ['work', address(), 'orders/ship'];
    worker = await spawnServer({ command: peer, args, ready: () => true });
    const bodies = ['one', 'fail two', 'dead three', '\u961f'];
    const { stdout } = await run(peer, ['produce', address(), 'orders', ...bodies]);
    const ids = stdout.trim().split('\n');
    expect(ids).toHaveLength(4);
    await eventually(() => expect(seen()).toHaveLength(5));
    const byId = (index: number) => seen().filter(({ job_id }) => job_id === ids[index]);
    expect(byId(0)).toMatchObject([{ body: 'one', attempt: 1, headers: { producer: 'go' } }]);
    expect(byId(1).map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(byId(3)).toMatchObject([{ body: '\u961f' }]);
    await eventually(async () => {
      const { queues } = await bus.storage.listQueues({ queue: 'orders' });
      expect(queues[0]?.topics[0]).toMatchObject({ done: 2, dead: 2, ready: 0, leased: 0 });
    });
    const { deliveries } = await bus.storage.getJob({ jobId: ids[1] ?? '' });
    const failure = { errorCode: 'OutOfStock', error: 'no stock for fail two' };
    expect(deliveries[0]?.history).toMatchObject([failure, failure]);
  });
});
