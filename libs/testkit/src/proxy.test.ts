import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from './eventually.js';
import { type CuttingProxy, cuttingProxy } from './proxy.js';

/** A proxy in front of a server that sends back what it gets. */
async function echo(): Promise<CuttingProxy> {
  const server = createServer((socket) => socket.pipe(socket).on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const proxy = await cuttingProxy(server.address() as AddressInfo);
  onTestFinished(() => proxy.stop());
  return proxy;
}

function client({ port }: CuttingProxy): { socket: Socket; heard(): string; closed(): boolean } {
  let heard = '';
  let closed = false;
  const socket = connect(port, '127.0.0.1');
  socket.on('data', (bytes) => {
    heard += bytes;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  onTestFinished(() => void socket.destroy());
  return { socket, heard: () => heard, closed: () => closed };
}

test('a proxy carries both ways, and the end too', async () => {
  const { socket, heard, closed } = client(await echo());
  socket.end('hello');
  await eventually(() => closed());
  expect(heard()).toBe('hello');
});

test('one that is cut holds back what is sent, old and new connections, until it heals', async () => {
  const proxy = await echo();
  const old = client(proxy);
  old.socket.write('1');
  await eventually(() => old.heard() === '1');
  proxy.cut();
  const fresh = client(proxy);
  old.socket.write('2');
  fresh.socket.write('3');
  await once(fresh.socket, 'connect');
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  expect([old.heard(), fresh.heard()]).toEqual(['1', '']);
  proxy.heal();
  await eventually(() => expect([old.heard(), fresh.heard()]).toEqual(['12', '3']));
});

test('a reset ends all connections and takes new ones', async () => {
  const proxy = await echo();
  const old = client(proxy);
  old.socket.write('1');
  await eventually(() => old.heard() === '1');
  proxy.reset();
  await eventually(() => old.closed());
  const fresh = client(proxy);
  fresh.socket.write('2');
  await eventually(() => fresh.heard() === '2');
});

test('a delay holds every chunk, each way', async () => {
  const proxy = await echo();
  proxy.delayMs = 30;
  const { socket, heard } = client(proxy);
  const startedAt = performance.now();
  socket.write('1');
  await eventually(() => heard() === '1');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55);
});
