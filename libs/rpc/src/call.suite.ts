import { BusError, Channel, toBusError } from '@malabar/core';
import { eventually } from '@malabar/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { type Binding, bind } from './binding.js';
import type { CallContext, Client, Implementation } from './definition.js';
import {
  EchoDefinition,
  echo,
  type Note,
  note,
  type Sightings,
  untilAborted,
} from './echo.suite.js';

/** A way from a caller to a binding. */
export interface Way {
  client: Client<EchoDefinition>;
  stop(): Promise<void>;
}

/** What a caller and an implementation may rely on, whatever lies between them. */
export function describeCalls(name: string, open: (binding: Binding) => Promise<Way>): void {
  const ways: Way[] = [];
  afterEach(async () => {
    for (const way of ways.splice(0)) await way.stop();
  });
  async function serving(replaced: Partial<Implementation<EchoDefinition>> = {}) {
    const seen: Sightings = { messages: 0 };
    const way = await open(bind(EchoDefinition, echo(seen, replaced)));
    ways.push(way);
    return { client: way.client, seen };
  }

  describe(name, () => {
    describeKinds(serving);
    describeErrors(serving);
    describeDeadlines(serving);
    describeCancellation(serving);
    describeBackpressure(serving);
  });
}

type Serving = (
  replaced?: Partial<Implementation<EchoDefinition>>,
) => Promise<{ client: Client<EchoDefinition>; seen: Sightings }>;

function describeKinds(serving: Serving): void {
  test('one message is answered by one', async () => {
    const { client } = await serving();
    expect(await client.one(note(7, 'grüße'))).toEqual(note(7, 'grüße'));
  });

  test('a stream is answered by one message', async () => {
    const { client } = await serving();
    expect(await client.sum(notes(4))).toEqual(note(10));
    expect(await client.sum(notes(0))).toEqual(note(0));
  });

  test('one message is answered by a stream', async () => {
    const { client } = await serving();
    expect(await collect(client.count(note(100)))).toEqual([...numbers(100)]);
    expect(await collect(client.count(note(0)))).toEqual([]);
  });

  test('a stream is answered by a stream, message by message', async () => {
    const { client } = await serving();
    const requests = new Channel<Note>();
    const responses = client.chat(requests)[Symbol.asyncIterator]();
    for (const each of numbers(50)) {
      requests.push(each);
      expect((await responses.next()).value).toEqual(each);
    }
    requests.end();
    expect(await responses.next()).toEqual({ done: true, value: undefined });
    expect(await responses.next()).toEqual({ done: true, value: undefined });
  });

  test('metadata, deadline and peer reach the implementation', async () => {
    const { client, seen } = await serving();
    await client.one(note(1), { metadata: { 'X-Queue': 'orders' }, timeoutMs: 60_000 });
    expect(seen.context?.metadata.get('x-queue')).toBe('orders');
    expect(seen.context?.deadlineAtMs).toBeGreaterThan(0);
    expect(seen.context?.peer).toMatch(/^local$|^127\.0\.0\.1:\d+$/);
  });

  test('a signal that does not abort leaves nothing behind', async () => {
    const { client, seen } = await serving();
    const { signal } = new AbortController();
    for (let at = 0; at < 30; at++) await client.one(note(at), { signal });
    expect(await collect(client.count(note(3), { signal }))).toHaveLength(3);
    expect(seen.context?.signal.aborted).toBe(false);
  });
}

function describeErrors(serving: Serving): void {
  const refusal = new BusError('QUEUE_FULL', 'queue 注文: 5000000 jobs wait, the most allowed');

  test('a BusError of the implementation reaches the caller as it is', async () => {
    const { client } = await serving({
      one: async () => {
        throw refusal;
      },
      sum: () => {
        throw refusal;
      },
    });
    const expected = { name: 'BusError', code: 'QUEUE_FULL', message: refusal.message };
    await expect(client.one(note(1))).rejects.toMatchObject(expected);
    await expect(client.sum(notes(3))).rejects.toMatchObject(expected);
  });

  test('an error in a stream comes behind the messages before it', async () => {
    const { client } = await serving({
      async *chat(requests) {
        for await (const request of requests) {
          if (request.number === 2) throw refusal;
          yield request;
        }
      },
      count: () => {
        throw refusal;
      },
    });
    const requests = new Channel<Note>();
    const responses = client.chat(requests)[Symbol.asyncIterator]();
    requests.push(note(1));
    expect((await responses.next()).value).toEqual(note(1));
    requests.push(note(2));
    await expect(responses.next()).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(await responses.next()).toEqual({ done: true, value: undefined });
    await expect(collect(client.count(note(1)))).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  });

  test('any other error is INTERNAL, with its text', async () => {
    const { client } = await serving({
      one: async () => {
        throw new TypeError('half a pair \ud800 is no text');
      },
    });
    await expect(client.one(note(1))).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(/^half a pair . is no text$/),
    });
  });

  test('a method that is not implemented is UNSUPPORTED', async () => {
    const { client } = await serving({ one: undefined, count: undefined });
    await expect(client.one(note(1))).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(collect(client.count(note(1)))).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('an error of the request source is the error of the call', async () => {
    const { client } = await serving();
    async function* broken() {
      yield note(1);
      throw new BusError('CORRUPT', 'the source is broken');
    }
    await expect(client.sum(broken())).rejects.toMatchObject({ code: 'CORRUPT' });
    await expect(collect(client.chat(broken()))).rejects.toMatchObject({ code: 'CORRUPT' });
  });
}

function describeDeadlines(serving: Serving): void {
  test('past its deadline a call is TIMEOUT for the caller and aborted for the implementation', async () => {
    const seen: Sightings = { messages: 0 };
    const { client } = await serving({
      one: (_, context) => {
        seen.context = context;
        return untilAborted(context);
      },
      // biome-ignore lint/correctness/useYield: it never comes to answer.
      async *count(_, context) {
        seen.context = context;
        await untilAborted(context);
      },
    });
    // Again if a busy machine needs longer than this to make the call at all.
    await eventually(async () => {
      const answer = client.one(note(1), { timeoutMs: 40 });
      await expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
      expect(seen.context?.signal.aborted).toBe(true);
    });
    // Its own clock has told it, or the caller who gave up.
    expect(['TIMEOUT', 'UNAVAILABLE']).toContain(seen.context?.signal.reason.code);
    seen.context = undefined;
    const counted = collect(client.count(note(1), { timeoutMs: 40 }));
    await expect(counted).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
}

function describeCancellation(serving: Serving): void {
  test('a caller that aborts gets UNAVAILABLE at once, the implementation its signal', async () => {
    const seen: Sightings = { messages: 0 };
    const { client } = await serving({
      one: (_, context) => {
        seen.context = context;
        return untilAborted(context);
      },
    });
    const caller = new AbortController();
    const answer = client.one(note(1), { signal: caller.signal });
    await eventually(() => expect(seen.context).toBeDefined());
    caller.abort(new Error('changed my mind'));
    await expect(answer).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { message: 'changed my mind' },
    });
    await eventually(() => expect(seen.context?.signal.aborted).toBe(true));
  });

  test('a caller that aborts while it waits for a stream gets the error in its loop', async () => {
    const seen: Sightings = { messages: 0 };
    const { client } = await serving({
      chat: (requests, context) => stay(requests, context, seen),
    });
    const caller = new AbortController();
    const requests = new Channel<Note>();
    const responses = client.chat(requests, { signal: caller.signal })[Symbol.asyncIterator]();
    requests.push(note(1));
    expect((await responses.next()).value).toEqual(note(1));
    const waiting = responses.next();
    caller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await responses.next()).toEqual({ done: true, value: undefined });
    await eventually(() => expect(seen.context?.signal.aborted).toBe(true));
  });

  test('a signal that was aborted before keeps the call from being made', async () => {
    const { client, seen } = await serving();
    const signal = AbortSignal.abort();
    await expect(client.one(note(1), { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const counted = collect(client.count(note(1), { signal }));
    await expect(counted).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(seen.context).toBeUndefined();
  });

  test('leaving the loop cancels the call and tells both sources', async () => {
    const seen: Sightings = { messages: 0 };
    const { client } = await serving({
      chat: (requests, context) => stay(requests, context, seen),
    });
    const source = endless();
    for await (const { number } of client.chat(source.notes)) if (number === 5) break;
    await eventually(() => {
      expect(seen.context?.signal.aborted).toBe(true);
      expect(seen.left).toBe(true);
      expect(source.left()).toBe(true);
    });
  });

  test('an implementation that reads on after its call was cut does not wait for ever', async () => {
    let reading: Promise<unknown> | undefined;
    const { client } = await serving({
      async *chat(requests) {
        yield note(0);
        reading = collect(requests).catch(toBusError);
        await reading;
      },
    });
    const silent = new Channel<Note>();
    const responses = client.chat(silent)[Symbol.asyncIterator]();
    await responses.next();
    const next = responses.next();
    await eventually(() => expect(reading).toBeDefined());
    await responses.return?.();
    await reading;
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test('an answer before the end of the requests ends the request source', async () => {
    const { client } = await serving({
      async sum(requests) {
        for await (const { number } of requests) if (number === 3) return note(3);
        return note(0);
      },
    });
    const source = endless();
    expect(await client.sum(source.notes)).toEqual(note(3));
    await eventually(() => expect(source.left()).toBe(true));
  });
}

function describeBackpressure(serving: Serving): void {
  const big = 'x'.repeat(64 * 1024);
  // What sockets, windows and stream buffers hold; far below what would be sent without a bound.
  const most = 600;

  test('a slow reader of responses holds the implementation back', async () => {
    let given = 0;
    const { client } = await serving({
      async *count() {
        for (;;) yield note(++given, big);
      },
    });
    const responses = client.count(note(1))[Symbol.asyncIterator]();
    for (let at = 0; at < 5; at++) await responses.next();
    await standsStill(() => given);
    expect(given).toBeLessThan(most);
    await responses.return?.();
  });

  test('a slow implementation holds the sender of requests back', async () => {
    let release = (): void => {};
    const { client } = await serving({
      async sum(requests) {
        const { value } = await requests[Symbol.asyncIterator]().next();
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return value;
      },
    });
    const source = endless(big);
    const answer = client.sum(source.notes);
    await standsStill(source.given);
    expect(source.given()).toBeLessThan(most);
    release();
    expect((await answer).number).toBe(1);
  });
}

/** Says back what it hears and stays when its requests have ended, until its call is over. */
async function* stay(requests: AsyncIterable<Note>, context: CallContext, seen: Sightings) {
  seen.context = context;
  try {
    for await (const request of requests) yield request;
    await untilAborted(context);
  } finally {
    seen.left = true;
  }
}

async function standsStill(count: () => number): Promise<void> {
  let before = -1;
  await eventually(
    () => {
      const now = count();
      const still = now > 0 && now === before;
      before = now;
      return still;
    },
    { everyMs: 100 },
  );
}

/** Gives notes until its reader leaves. */
function endless(text = '') {
  let given = 0;
  let left = false;
  async function* generate(): AsyncGenerator<Note> {
    try {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        yield note(++given, text);
      }
    } finally {
      left = true;
    }
  }
  return { notes: generate(), given: () => given, left: () => left };
}

function* numbers(count: number): Generator<Note> {
  for (let at = 1; at <= count; at++) yield note(at);
}

async function* notes(count: number): AsyncGenerator<Note> {
  yield* numbers(count);
}

/** Reads a stream to its end. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}
