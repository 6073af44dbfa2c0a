import { keeperRecords } from '@malabar/contracts';
import { eventually, seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends, type Place } from '../backends.suite.js';
import { type Keeper, startKeeper, twoKeepers } from './election.suite.js';

const TTL_MS = 3_000;
const stale = { code: 'STALE_LEASE' };

const acquire = ({ client }: Keeper, holder: string, name = 'scheduler', ttlMs = TTL_MS) =>
  client.acquire({ name, holder, ttlMs });

/** Time passes on every kind of backend until somebody else gets the name; his answer. */
function inTime({ clock }: Place, attempt: () => ReturnType<typeof acquire>) {
  return eventually(
    async () => {
      await clock.advance(200);
      const answer = await attempt();
      expect(answer.token).toBeGreaterThan(0);
      return answer;
    },
    { timeoutMs: 30_000 },
  );
}

describeBackends('an election', (place) => {
  test('has one holder, whichever keeper is asked, until he gives up', async () => {
    const [one, two] = await twoKeepers(await place());
    expect(await acquire(one, 'a')).toEqual({ holder: 'a', token: 1 });
    expect(await acquire(two, 'b')).toEqual({ holder: 'a', token: 0 });
    expect(await acquire(two, 'a')).toEqual({ holder: 'a', token: 1 });
    await two.client.release({ name: 'scheduler', holder: 'a', token: 1 });
    await two.client.release({ name: 'scheduler', holder: 'a', token: 1 });
    expect(await acquire(one, 'b')).toEqual({ holder: 'b', token: 2 });
  });

  test('is held for as long as it is renewed, at any keeper', async () => {
    const at = await place();
    const keepers = await twoKeepers(at);
    const { token } = await acquire(keepers[0], 'a');
    for (let round = 0; round < 6; round++) {
      await at.clock.advance(TTL_MS / 2);
      await keepers[round % 2]?.client.renew({ name: 'scheduler', holder: 'a', token });
    }
    expect(await acquire(keepers[1], 'b')).toEqual({ holder: 'a', token: 0 });
  });

  test('that is lost cannot be renewed, and the next token is greater', async () => {
    const at = await place();
    const keeper = await startKeeper(at.backend);
    const { token } = await acquire(keeper, 'a', 'scheduler', 1_000);
    const next = await inTime(at, () => acquire(keeper, 'b'));
    expect(next).toEqual({ holder: 'b', token: token + 1 });
    const old = { name: 'scheduler', holder: 'a', token };
    await expect(keeper.client.renew(old)).rejects.toMatchObject(stale);
    await expect(keeper.client.renew({ ...old, token: next.token })).rejects.toMatchObject(stale);
    await keeper.client.release(old);
    expect(await acquire(keeper, 'c')).toEqual({ holder: 'b', token: 0 });
  });

  test('never gives a token twice, also after everything has ended and keepers restart', async () => {
    const at = await place();
    for (let token = 1; token <= 3; token++) {
      const keeper = await startKeeper(at.backend);
      const got = await inTime(at, () => acquire(keeper, 'a', 'scheduler', 1_000));
      expect(got.token).toBe(token);
      keeper.heart.stop();
      await inTime(at, async () => ({
        holder: '',
        token: (await at.backend.get('election/held/scheduler')) ? 0 : 1,
      }));
    }
  });

  test('of one name says nothing about another', async () => {
    const keeper = await startKeeper((await place()).backend);
    expect(await acquire(keeper, 'a', 'shard/paid/0')).toMatchObject({ token: 1 });
    expect(await acquire(keeper, 'b', 'shard/paid/1')).toMatchObject({ token: 1 });
    expect(await acquire(keeper, 'b', 'shard/paid')).toMatchObject({ token: 1 });
  });

  test('that many want at once has one winner', async () => {
    const keepers = await twoKeepers(await place());
    const asked = Array.from({ length: 8 }, (_, at) =>
      acquire(keepers[at % 2] as Keeper, `holder-${at}`),
    );
    const answers = (await Promise.allSettled(asked)).flatMap((outcome) =>
      outcome.status === 'fulfilled' ? [outcome.value] : [],
    );
    const winners = answers.filter(({ token }) => token > 0);
    expect(winners).toHaveLength(1);
    expect(new Set(answers.map(({ holder }) => holder)).size).toBe(1);
  });

  test('is observed: who holds it now, and every change', async () => {
    const [one, two] = await twoKeepers(await place());
    const stream = two.client.observe({ name: 'scheduler' })[Symbol.asyncIterator]();
    expect((await stream.next()).value).toEqual({ holder: '', token: 0 });
    const change = stream.next();
    await acquire(one, 'x', 'other');
    await acquire(one, 'a');
    expect((await change).value).toEqual({ holder: 'a', token: 1 });
    const left = stream.next();
    await one.client.release({ name: 'scheduler', holder: 'a', token: 1 });
    expect((await left).value).toEqual({ holder: '', token: 0 });
    const end = stream.next();
    expect(two.heart.view.observers).toBe(1);
    two.heart.stop();
    expect((await end).done).toBe(true);
    expect(two.heart.view.observers).toBe(0);
  });

  test.each([
    ['', 'a', /"" is no name of an election/],
    ['../x', 'a', /no name of an election/],
    ['a b', 'a', /no name of an election/],
    ['x'.repeat(201), 'a', /1 to 200/],
    ['scheduler', '', /"" is no holder/],
    ['scheduler', 'a b', /"a b" is no holder/],
    ['scheduler', 'x'.repeat(201), /no holder/],
  ])('of name %j by holder %j is refused', async (name, holder, message) => {
    const keeper = await startKeeper((await place()).backend);
    const refused = { code: 'INVALID', message: expect.stringMatching(message) };
    await expect(acquire(keeper, holder, name)).rejects.toMatchObject(refused);
  });
});

describeBackends('a random history of elections', (place, kind) => {
  test('has no two holders with one token, and tokens only grow', async () => {
    const at = await place();
    const keepers = await twoKeepers(at);
    const random = seededRandom(kind === 'lmdb' ? 7 : 8);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const names = ['scheduler', 'shard/0'];
    const holders = ['a', 'b', 'c', 'd'];
    /** By name: what each holder believes to have, and every token in the order of its being given. */
    const believed = new Map<string, number>();
    const given = new Map<string, Array<{ holder: string; token: number }>>();

    async function step(): Promise<void> {
      const [name, holder] = [pick(names), pick(holders)];
      const { client } = pick(keepers);
      const key = `${name} ${holder}`;
      const token = believed.get(key) ?? 0;
      const what = random();
      if (what < 0.5) {
        const got = await client.acquire({ name, holder, ttlMs: 1_000 });
        if (got.token > 0) {
          believed.set(key, got.token);
          given.set(name, [...(given.get(name) ?? []), { holder, token: got.token }]);
        } else believed.delete(key);
      } else if (what < 0.8) {
        await client.renew({ name, holder, token }).catch(() => believed.delete(key));
      } else if (what < 0.9) {
        await client.release({ name, holder, token });
        believed.delete(key);
      } else if (what < 0.95) {
        await endLease(name);
      } else await at.clock.advance(600);
    }

    /** As when its time is over, which on etcd takes too long to wait for it often. */
    async function endLease(name: string): Promise<void> {
      const entry = await at.backend.get(`election/held/${name}`);
      if (entry === undefined) return;
      const { leaseId } = keeperRecords.HoldingRecord.decode(entry.value);
      await at.backend.revoke(leaseId);
    }

    for (let count = 0; count < (kind === 'lmdb' ? 600 : 300); count++) {
      await (random() < 0.7 ? step() : Promise.all([step(), step(), step()]));
    }
    for (const [name, history] of given) {
      const owners = new Map<number, string>();
      for (const { holder, token } of history) {
        expect(owners.get(token) ?? holder, `token ${token} of ${name}`).toBe(holder);
        owners.set(token, holder);
      }
      const counter = Number((await at.backend.get(`election/token/${name}`))?.value.toString());
      expect(Math.max(...owners.keys())).toBe(counter);
      expect(counter).toBeGreaterThan(10);
    }
  });
});
