import { ElectionClient } from '@malabar/keeper-client';
import { eventually, FakeClock, logToMemory, seededRandom } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { type Keeper, startKeeper, twoKeepers } from './election.suite.js';

const TTL_MS = 2_000;

/** A program with its own clock, whose way to the keeper a test can close. */
function program({ client }: Keeper) {
  const clock = new FakeClock();
  const { log, entries } = logToMemory();
  const cut = { now: false };
  const reachable = new Proxy(client, {
    get(target, name: keyof typeof client) {
      if (cut.now) throw new Error('cut');
      return target[name];
    },
  });
  const elections = new ElectionClient({
    client: reachable,
    clock,
    monotonic: () => clock.now(),
    random: seededRandom(1),
    log,
  });
  onTestFinished(() => elections.close());
  return { elections, clock, cut, entries };
}

type Program = ReturnType<typeof program>;

/** A candidate that notes when it leads. */
function candidate({ elections }: Program, onElected = async (_: AbortSignal) => {}) {
  const tokens: number[] = [];
  const lost: string[] = [];
  const signals: AbortSignal[] = [];
  const campaign = elections.campaign({
    name: 'scheduler',
    ttlMs: TTL_MS,
    onElected(token, signal) {
      tokens.push(token);
      signals.push(signal);
      return onElected(signal);
    },
    onLost: (reason) => lost.push(reason),
  });
  return { campaign, tokens, lost, signals };
}

describeBackends('a campaign', (place) => {
  test('leads until it is stopped; then the next one does, with a greater token', async () => {
    const [one, two] = await twoKeepers(await place());
    const first = candidate(program(one));
    await eventually(() => expect(first.tokens).toEqual([1]));
    const other = program(two);
    const second = candidate(other);
    await eventually(() => expect(two.heart.view.observers).toBe(1));
    expect([first.campaign.token, second.campaign.token]).toEqual([1, 0]);
    await first.campaign.stop();
    expect(first.campaign.token).toBe(0);
    expect(first.signals[0]?.aborted).toBe(true);
    expect(first.lost).toEqual([]);
    await eventually(async () => {
      await other.clock.advance(10);
      expect(second.tokens).toEqual([2]);
    });
  });

  test('goes on leading for as long as a keeper renews it', async () => {
    const at = await place();
    const own = program(await startKeeper(at.backend));
    const { campaign, tokens, lost } = candidate(own);
    await eventually(() => expect(tokens).toEqual([1]));
    for (let round = 0; round < 40; round++) {
      await Promise.all([own.clock.advance(TTL_MS / 8), at.clock.advance(TTL_MS / 8)]);
      await at.backend.get('any');
    }
    expect(campaign.token).toBe(1);
    expect([tokens, lost]).toEqual([[1], []]);
  });

  test('believes in itself for less than a time to live after the last renewal', async () => {
    const own = program(await startKeeper((await place()).backend));
    const { campaign, tokens, lost, signals } = candidate(own);
    await eventually(() => expect(tokens).toEqual([1]));
    own.cut.now = true;
    await own.clock.advance(TTL_MS * 0.85);
    expect(campaign.token).toBe(1);
    expect(signals[0]?.aborted).toBe(false);
    await own.clock.advance(TTL_MS * 0.1);
    expect(campaign.token).toBe(0);
    expect(signals[0]?.aborted).toBe(true);
    await eventually(() => expect(lost).toEqual(['no keeper has renewed scheduler in time']));
    own.cut.now = false;
    await eventually(async () => {
      await own.clock.advance(100);
      expect(tokens).toHaveLength(2);
    });
  });

  test('that hears it has lost begins again only when its work has ended', async () => {
    const at = await place();
    const own = program(await startKeeper(at.backend));
    let endWork = (): void => {};
    const work = new Promise<void>((resolve) => {
      endWork = resolve;
    });
    const { tokens, lost, signals } = candidate(own, () => work);
    await eventually(() => expect(tokens).toEqual([1]));
    await at.backend.commit({ deletes: ['election/held/scheduler'] });
    await eventually(async () => {
      await own.clock.advance(100);
      expect(signals[0]?.aborted).toBe(true);
    });
    for (let round = 0; round < 20; round++) await own.clock.advance(TTL_MS / 4);
    expect([tokens, lost]).toEqual([[1], []]);
    endWork();
    await eventually(async () => {
      await own.clock.advance(100);
      expect(tokens).toEqual([1, 2]);
    });
    expect(lost).toEqual([expect.stringContaining('does not hold scheduler with token 1')]);
  });

  test('whose work fails gives up, and tries again after a while', async () => {
    const own = program(await startKeeper((await place()).backend));
    let failures = 0;
    const { tokens } = candidate(own, async () => {
      if (failures++ < 2) throw new Error('no disk');
    });
    await eventually(async () => {
      await own.clock.advance(200);
      expect(tokens).toEqual([1, 2, 3]);
    });
    const errors = own.entries.filter(({ level }) => level === 'error');
    expect(errors).toHaveLength(2);
  });
});

describeBackends('a lock', (place) => {
  test('lets one work at a time, in whatever program', async () => {
    const programs = (await twoKeepers(await place())).map(program);
    let working = 0;
    const tokens: number[] = [];
    const jobs = Array.from({ length: 8 }, (_, at) =>
      programs[at % 2]?.elections.lock('shard/0', async (token) => {
        tokens.push(token);
        expect(++working).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        working--;
        return token;
      }),
    );
    let over = false;
    const all = Promise.all(jobs).finally(() => {
      over = true;
    });
    await eventually(async () => {
      for (const { clock } of programs) await clock.advance(20);
      return over;
    });
    expect(await all).toHaveLength(8);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect(new Set(tokens).size).toBe(8);
  });

  test('that is lost under way is an error, and its work was told', async () => {
    const own = program(await startKeeper((await place()).backend));
    const lost = own.elections.lock(
      'shard/0',
      async (_, signal) => {
        own.cut.now = true;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        own.cut.now = false;
      },
      { ttlMs: TTL_MS },
    );
    const refused = expect(lost).rejects.toMatchObject({ code: 'STALE_LEASE' });
    await eventually(() => expect(own.cut.now).toBe(true));
    await own.clock.advance(TTL_MS);
    await refused;
  });

  test('is not waited for any longer than wanted', async () => {
    const keeper = await startKeeper((await place()).backend);
    await keeper.client.acquire({ name: 'shard/0', holder: 'other', ttlMs: 60_000 });
    const own = program(keeper);
    const waiting = new AbortController();
    const lock = own.elections.lock('shard/0', async () => {}, { signal: waiting.signal });
    const closed = own.elections.lock('shard/0', async () => {});
    const refused = expect(lock).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    waiting.abort();
    await refused;
    const alsoRefused = expect(closed).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await own.elections.close();
    await alsoRefused;
  });
});
