import { access, config, discovery, storage } from '@malabar/contracts';
import type { BusError } from '@malabar/core';
import {
  bind,
  type CallContext,
  type Client,
  connect,
  type Implementation,
  local,
  type RpcServer,
  type ServiceDefinition,
  serve,
} from '@malabar/rpc';
import { FakeClock, logToMemory } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { authenticator } from './authenticator.js';
import { guard, type Rules, somewhere } from './guard.js';
import type { People } from './people.js';
import { grants, peopleOf, person, sessionOf } from './people.suite.js';
import { authorOf, principalOf } from './principal.js';
import { discoveryRules, storageRules } from './rules.js';

const ann = person('ann', 'shop:viewer');
const clock = new FakeClock();
const SESSION_MS = 60_000;
let people: People = peopleOf([ann]);
const closing: Array<() => void | Promise<void>> = [];

afterEach(async () => {
  people = peopleOf([ann]);
  for (const close of closing.splice(0).reverse()) await close();
});

/** A guarded implementation behind a real server that asks for the token of the bus. */
async function serving<D extends ServiceDefinition>(
  definition: D,
  methods: Partial<Implementation<D>>,
  rules: Rules<D>,
): Promise<(token?: string) => Client<D>> {
  const guarded = guard(
    definition,
    methods as Implementation<D>,
    rules,
    authenticator(() => people, clock),
  );
  const server: RpcServer = await serve({
    listen: '127.0.0.1:0',
    token: 'the token of the bus',
    bindings: [bind(definition, guarded, { access: 'public' })],
    log: logToMemory().log,
  });
  closing.push(() => server.close());
  return (token) => {
    const client = connect(definition, { address: server.address, token });
    closing.push(() => client.close());
    return client;
  };
}

const asAnn = (): string => sessionOf(ann, clock.now() + SESSION_MS);

const queues = (): storage.ListQueuesResponse =>
  storage.ListQueuesResponse.fromPartial({
    queues: [{ queue: 'orders' }, { queue: 'invoices' }, { queue: 'nobodys' }],
  });

function storageOf(seen: CallContext[] = []) {
  const systems: Record<string, string> = { orders: 'shop', invoices: 'bank' };
  return serving(
    storage.StorageServiceDefinition,
    {
      async listQueues(_, context) {
        seen.push(context);
        return queues();
      },
      getJob: async () => storage.GetJobResponse.fromPartial({ queue: 'invoices' }),
      fetch: async () => ({ runs: [] }),
    },
    storageRules((queue) => systems[queue] ?? ''),
  );
}

test('who says nothing, and whose token is wrong, gets nowhere', async () => {
  const client = await storageOf();
  const request = { queue: '' };
  await expect(client().listQueues(request)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await expect(client('wrong').listQueues(request)).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
  });
});

test('a list holds only what the caller may see', async () => {
  const client = await storageOf();
  const seen = await client(asAnn()).listQueues({ queue: '' });
  expect(seen.queues.map(({ queue }) => queue)).toEqual(['orders']);
  expect(await client('the token of the bus').listQueues({ queue: '' })).toEqual(queues());
});

test('what belongs to another system is refused by its name', async () => {
  const client = await storageOf();
  await expect(client(asAnn()).listQueues({ queue: 'invoices' })).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: 'ann needs the role viewer in the system bank',
  });
  await expect(client(asAnn()).listQueues({ queue: 'nobodys' })).rejects.toMatchObject({
    message: 'ann needs the role viewer in all systems (*)',
  });
});

test('a job of another system is as good as not there', async () => {
  const client = await storageOf();
  await expect(client(asAnn()).getJob({ jobId: 'x' })).rejects.toMatchObject({
    code: 'UNKNOWN_JOB',
  });
});

test('what is internal is closed to people, whatever their rights', async () => {
  people = peopleOf([{ ...ann, grants: grants('*:admin') }]);
  const client = await storageOf();
  const request = storage.FetchRequest.fromPartial({ queue: 'orders' });
  await expect(client(asAnn()).fetch(request)).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: 'Fetch is for the services of the bus only',
  });
  expect(await client('the token of the bus').fetch(request)).toEqual({ runs: [] });
});

test('a method knows who calls, and from where', async () => {
  const seen: CallContext[] = [];
  const client = await storageOf(seen);
  await client(asAnn()).listQueues({ queue: '' });
  expect(principalOf(seen[0] as CallContext).name).toBe('ann');
  expect(authorOf(seen[0] as CallContext)).toEqual({
    name: 'ann',
    from: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
  });
});

test('a method that runs for long knows the rights of now', async () => {
  const seen: CallContext[] = [];
  const client = await storageOf(seen);
  await client(asAnn()).listQueues({ queue: '' });
  const context = seen[0] as CallContext;
  people = peopleOf([{ ...ann, grants: grants('bank:viewer') }]);
  expect(principalOf(context).grants).toEqual(grants('bank:viewer'));
  people = peopleOf([]);
  expect(() => principalOf(context)).toThrow('the user of the token is gone');
});

test('a method that nobody guards has no principal', async () => {
  const context = { metadata: new Map(), peer: 'local', trusted: true } as unknown as CallContext;
  expect(() => principalOf(context)).toThrow('guard it');
});

const watched = (names: string[]) => discovery.WatchRequest.fromPartial({ services: names });

/** Answers with a service whenever `next` is called. */
function stream() {
  const services: string[] = [];
  let wake = (): void => {};
  let left = false;
  return {
    get left() {
      return left;
    },
    next(name: string): void {
      services.push(name);
      wake();
    },
    async *watch(signal: AbortSignal): AsyncIterable<discovery.WatchResponse> {
      signal.addEventListener('abort', () => wake());
      try {
        while (!signal.aborted) {
          const name = services.shift();
          if (name !== undefined) yield discovery.WatchResponse.fromPartial({ service: { name } });
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        left = true;
      }
    },
  };
}

async function watching(source: ReturnType<typeof stream>, token: string) {
  const client = await serving(
    discovery.DiscoveryServiceDefinition,
    { watch: (_, { signal }) => source.watch(signal) },
    discoveryRules,
  );
  return client(token)
    .watch(watched(['checkout']))
    [Symbol.asyncIterator]();
}

test('a stream is guarded before it begins', async () => {
  people = peopleOf([{ ...ann, grants: [] }]);
  const answers = await watching(stream(), asAnn());
  await expect(answers.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a stream ends with the right to it', async () => {
  const source = stream();
  const answers = await watching(source, asAnn());
  source.next('one');
  expect((await answers.next()).value?.service?.name).toBe('one');
  people = peopleOf([{ ...ann, disabled: true }]);
  source.next('two');
  await expect(answers.next()).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: 'ann is disabled',
  });
});

test('a stream ends when the session expires', async () => {
  const source = stream();
  const answers = await watching(source, asAnn());
  source.next('one');
  await answers.next();
  await clock.advance(SESSION_MS);
  source.next('two');
  await expect(answers.next()).rejects.toThrow(/the session expired/);
});

test('a guarded stream can be left while it waits', async () => {
  const source = stream();
  const answers = await watching(source, asAnn());
  source.next('one');
  await answers.next();
  await answers.return?.();
  await expect.poll(() => source.left).toBe(true);
});

test('calls inside the process are the bus itself', async () => {
  const rules = { ...storageRules(() => ''), fetch: 'internal' } as const;
  const methods = { fetch: async () => ({ runs: [] }) };
  const guarded = guard(
    storage.StorageServiceDefinition,
    methods as unknown as Implementation<storage.StorageServiceDefinition>,
    rules,
    authenticator(() => people, clock),
  );
  const client = local<storage.StorageServiceDefinition>(
    bind(storage.StorageServiceDefinition, guarded, { access: 'public' }),
  );
  expect(await client.fetch(storage.FetchRequest.fromPartial({}))).toEqual({ runs: [] });
});

test('a request that names nothing needs the right to everything', async () => {
  const client = await serving(
    discovery.DiscoveryServiceDefinition,
    { register: async () => ({ renewAfterMs: 1 }) },
    discoveryRules,
  );
  people = peopleOf([{ ...ann, grants: grants('shop:node') }]);
  const request = { instances: [], ttlMs: 1_000 };
  const refused = await client(asAnn())
    .register(request)
    .catch((error: BusError) => error.code);
  expect(refused).toBe('FORBIDDEN');
});

test('a method without a rule is not served', async () => {
  const methods = { listDomains: async () => ({ domains: [] }) };
  const none = {} as Rules<config.ConfigServiceDefinition>;
  await expect(serving(config.ConfigServiceDefinition, methods, none)).rejects.toThrow(
    'nothing says who may call ConfigService.listDomains',
  );
});

test('a method that the implementation lacks stays unimplemented', async () => {
  const rules = {
    listDomains: somewhere(access.Role.VIEWER),
  } as Rules<config.ConfigServiceDefinition>;
  const client = await serving(config.ConfigServiceDefinition, {}, rules);
  await expect(client(asAnn()).listDomains({})).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});
