import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { createAuthority, eventually, freePort, logToMemory } from '@malabar/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { bind } from './binding.js';
import { connect } from './client.js';
import type { TlsOptions } from './credentials.js';
import type { Implementation } from './definition.js';
import { EchoDefinition, echo, note } from './echo.suite.js';
import type { Balancer, Candidate, Directory, Endpoint, Route } from './route.js';
import { registerScheme } from './scheme.js';
import { type RpcServer, serve } from './server.js';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server that answers with its id. */
async function serveAs(
  id: string,
  { tls, one }: { tls?: TlsOptions; one?: Implementation<EchoDefinition>['one'] } = {},
  listen = '127.0.0.1:0',
): Promise<RpcServer> {
  const implementation = echo({ messages: 0 }, { one: one ?? (async () => note(0, id)) });
  const bindings = [bind(EchoDefinition, implementation)];
  const server = await serve({ listen, bindings, tls, log: logToMemory().log });
  cleanups.push(() => server.close());
  return server;
}

const at = (id: string, address: string, weight = 1): Endpoint => ({
  id,
  address,
  weight,
  zone: '',
  suspect: false,
});

/** Takes each candidate `weight` times in a row, whatever happened before. */
function inTurn(): Balancer {
  let count = 0;
  return {
    pick(candidates) {
      const turns = candidates.flatMap((each) => Array(each.weight).fill(each));
      return turns[count++ % turns.length];
    },
  };
}

/** A directory that says what the test says. */
function directory(balancer: Balancer = inTurn()) {
  const listeners = new Map<(route: Route) => void, string>();
  let last: Route | undefined;
  return {
    listeners,
    watch(service: string, listener: (route: Route) => void) {
      listeners.set(listener, service);
      if (last) process.nextTick(listener, last);
      return () => listeners.delete(listener);
    },
    say(...endpoints: Endpoint[]) {
      last = { endpoints, balancer, reason: 'nobody serves echo' };
      for (const listener of listeners.keys()) listener(last);
    },
  } satisfies Directory & Record<string, unknown>;
}

function connectBy(directory: Directory, tls?: TlsOptions) {
  const client = connect(EchoDefinition, { address: { directory, service: 'echo' }, tls });
  cleanups.push(() => client.close());
  return client;
}

type Echo = ReturnType<typeof connectBy>;

/** How many of `calls` each server answered. */
async function spread(client: Echo, calls: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let call = 0; call < calls; call++) {
    const { text } = await client.one(note(call));
    counts[text] = (counts[text] ?? 0) + 1;
  }
  return counts;
}

/** Every server of the directory is connected. */
async function connected(client: Echo, ...ids: string[]): Promise<void> {
  await eventually(async () => {
    expect(Object.keys(await spread(client, ids.length * 10)).sort()).toEqual(ids);
  });
}

describe('a client of a service', () => {
  test('spreads its calls as the balancer says', async () => {
    const [a, b] = [await serveAs('a'), await serveAs('b')];
    const known = directory();
    const client = connectBy(known);
    known.say(at('a', a.address), at('b', b.address, 3));
    await connected(client, 'a', 'b');
    expect(await spread(client, 40)).toEqual({ a: 10, b: 30 });
  });

  test('waits for the first word of the directory', async () => {
    const a = await serveAs('a');
    const known = directory();
    const answer = connectBy(known).one(note(1));
    await eventually(() => expect(known.listeners.size).toBe(1));
    known.say(at('a', a.address));
    expect(await answer).toEqual(note(0, 'a'));
  });

  test('fails at once where nobody serves it, and says why', async () => {
    const known = directory();
    known.say();
    await expect(connectBy(known).one(note(1))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'malabar.test.v1.EchoService/One at malabar:///echo: nobody serves echo',
    });
  });

  test('fails at once where nobody answers, and names who did not', async () => {
    const known = directory();
    const address = `127.0.0.1:${await freePort()}`;
    known.say(at('a', address));
    await expect(connectBy(known).one(note(1))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(address),
    });
  });

  test('follows weights and arrivals without connecting anew', async () => {
    const peers = new Set<string>();
    const watched = async (id: string) =>
      serveAs(id, {
        async one(_, { peer }) {
          peers.add(peer);
          return note(0, id);
        },
      });
    const [a, b] = [await watched('a'), await watched('b')];
    const known = directory();
    const client = connectBy(known);
    known.say(at('a', a.address));
    expect(await spread(client, 5)).toEqual({ a: 5 });
    known.say(at('a', a.address), at('b', b.address));
    await connected(client, 'a', 'b');
    known.say(at('a', a.address), at('b', b.address, 4));
    expect(await spread(client, 10)).toEqual({ a: 2, b: 8 });
    expect(peers.size).toBe(2);
  });

  test('loses no call when an instance leaves the list, nor when a listed one stops', async () => {
    const servers = [await serveAs('a'), await serveAs('b'), await serveAs('c')];
    const endpoints = servers.map(({ address }, index) => at('abc'[index] as string, address));
    const known = directory();
    const client = connectBy(known);
    known.say(...endpoints);
    await connected(client, 'a', 'b', 'c');
    let calling = true;
    let answered = 0;
    const callers = Array.from({ length: 8 }, async () => {
      while (calling) {
        await client.one(note(1));
        answered++;
      }
    });
    known.say(...endpoints.slice(1));
    await servers[0]?.drain(1_000);
    await servers[1]?.drain(1_000);
    const before = answered;
    await eventually(() => expect(answered).toBeGreaterThan(before + 100));
    calling = false;
    await Promise.all(callers);
    expect(await spread(client, 5)).toEqual({ c: 5 });
  });

  test('uses an instance again once it is back', async () => {
    const [a, b] = [await serveAs('a'), await serveAs('b')];
    const known = directory();
    const client = connectBy(known);
    known.say(at('a', a.address), at('b', b.address));
    await connected(client, 'a', 'b');
    await a.close();
    expect(await eventually(() => spread(client, 5))).toEqual({ b: 5 });
    await serveAs('a', {}, a.address);
    await connected(client, 'a', 'b');
  });

  test('tells the balancer how many calls each instance holds, from the choice on', async () => {
    const seen: number[][] = [];
    const least: Balancer = {
      pick<C extends Candidate>(candidates: readonly C[]): C {
        seen.push(candidates.map(({ inFlight }) => inFlight));
        return [...candidates].sort((one, two) => one.inFlight - two.inFlight)[0] as C;
      },
    };
    const open: Array<() => void> = [];
    const held = (id: string) =>
      serveAs(id, {
        async one() {
          await new Promise<void>((resolve) => open.push(resolve));
          return note(0, id);
        },
      });
    const [a, b] = [await held('a'), await held('b')];
    const known = directory(least);
    const client = connectBy(known);
    known.say(at('a', a.address), at('b', b.address));
    const early = [client.one(note(1)), client.one(note(2))];
    await eventually(() => expect(open).toHaveLength(2));
    const aborted = new AbortController();
    const dropped = client.one(note(3), { signal: aborted.signal });
    aborted.abort();
    await expect(dropped).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const burst = Array.from({ length: 8 }, () => client.one(note(4)));
    await eventually(() => expect(open.length).toBeGreaterThanOrEqual(10));
    const [one = 0, two = 0] = seen.at(-1) ?? [];
    expect(one + two).toBeGreaterThanOrEqual(9);
    expect(Math.abs(one - two)).toBeLessThanOrEqual(2);
    for (const answer of open.splice(0)) answer();
    await Promise.all([...early, ...burst]);
    const last = client.one(note(5));
    await eventually(() => expect(open).toHaveLength(1));
    expect(seen.at(-1)).toEqual([0, 0]);
    open[0]?.();
    await last;
  });

  test('checks the certificate against the host that it calls', async () => {
    const { ca, issue } = createAuthority();
    const { address } = await serveAs('a', { tls: issue('server') });
    const known = directory();
    known.say(at('a', address));
    expect(await connectBy(known, { ca }).one(note(1))).toEqual(note(0, 'a'));
  });

  test('leaves the directory when it is closed', async () => {
    const known = directory();
    known.say();
    const client = connectBy(known);
    await client.one(note(1)).catch(() => {});
    expect([...known.listeners.values()]).toEqual(['echo']);
    client.close();
    expect(known.listeners.size).toBe(0);
  });
});

describe('a registered scheme', () => {
  test('is an address for every gRPC client of the process', async () => {
    const a = await serveAs('a');
    const known = directory();
    known.say(at('a', a.address));
    cleanups.push(registerScheme('shop', known));
    const client = connect(EchoDefinition, { address: 'shop:///echo' });
    cleanups.push(() => client.close());
    expect(await client.one(note(1))).toEqual(note(0, 'a'));
    const plain = new GrpcClient('shop:///echo', credentials.createInsecure());
    cleanups.push(() => plain.close());
    await new Promise<void>((resolve, reject) =>
      plain.waitForReady(Date.now() + 10_000, (error) => (error ? reject(error) : resolve())),
    );
  });

  test('that was taken back leads nowhere', async () => {
    registerScheme('gone', directory())();
    const client = connect(EchoDefinition, { address: 'gone:///echo' });
    cleanups.push(() => client.close());
    await expect(client.one(note(1))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('no directory serves gone:'),
    });
  });
});
