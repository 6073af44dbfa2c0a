import { connect, createRegistry, type Malabar } from '@malabar/sdk';
import { createAuthority, eventually } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';

const TOKEN = 'the token of this bus, which is long';
const documents = `
queues:
  plain: { topics: { act: { target: grpc } } }
  guarded: { password: queue-secret, topics: { act: { target: grpc, password: topic-secret } } }
`;
const noop = () => {};
const log = { debug: noop, info: noop, warn: noop, error: noop };

let bus: Bus;
let ca: string;
const open: Malabar[] = [];

beforeAll(async () => {
  const authority = createAuthority();
  const { cert, key } = authority.issue('bus');
  ca = authority.ca;
  const tls = [`grpc.tls.cert=${cert}`, `grpc.tls.key=${key}`, `grpc.tls.ca=${ca}`];
  bus = await startBus({ documents, settings: [...tls, `grpc.token=${TOKEN}`] });
});

afterAll(async () => {
  await Promise.all(open.map((malabar) => malabar.close()));
  await bus?.stop();
});

function connected(options: Parameters<typeof connect>[0]): Malabar {
  const malabar = connect({ address: `127.0.0.1:${bus.ports.grpc.all}`, log, ...options });
  open.push(malabar);
  return malabar;
}

const passwords = { guarded: 'queue-secret', 'guarded/act': 'topic-secret' };

test('who shows the token and the passwords may publish and work, over TLS', async () => {
  const malabar = connected({ tls: { ca }, token: TOKEN, passwords });
  const seen: string[] = [];
  const registry = createRegistry()
    .register('plain', 'act', (_, job) => seen.push(job.id))
    .register('guarded', 'act', (_, job) => seen.push(job.id));
  await malabar.createTopics(registry);
  const worker = malabar.worker(registry);
  const running = worker.run();
  for (const event of ['plain', 'guarded']) {
    const { id } = await malabar.publish(event);
    await eventually(() => expect(seen).toContain(id));
  }
  await worker.stop();
  await running;
});

test('who does not is told so, and nothing goes on in silence', async () => {
  const plain = createRegistry().register('plain', 'act', noop);
  const guarded = createRegistry().register('guarded', 'act', noop);
  const stranger = connected({ tls: { ca } });
  await expect(stranger.worker(plain).run()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  const expecting = stranger.worker(plain, { topics: 'expect' });
  await expect(expecting.run()).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining("topic 'plain/act' has no password"),
  });
  await expect(stranger.publish('guarded')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  const guess = { guarded: 'guess' };
  const wrong = connected({ tls: { ca }, token: TOKEN, passwords: guess });
  await expect(wrong.worker(guarded).run()).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
  await expect(wrong.publish('guarded')).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
});

test('a certificate that nobody known has signed is no way in', async () => {
  const distrusting = connected({ token: TOKEN, tls: {}, timeout: '2s' });
  const error = await distrusting.publish('plain').catch((thrown) => thrown);
  expect(error).toMatchObject({ code: 'TIMEOUT', message: expect.stringMatching(/certificate/) });
});
