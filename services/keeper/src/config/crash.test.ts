import type { config } from '@malabar/contracts';
import { BusError, toBusError } from '@malabar/core';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { type Fault, faultyBackend, hastyClock } from './faulty-backend.suite.js';
import { ANN, BOB, publishing, release, type Stage, set, stage } from './store.suite.js';

const FILES = 20;
/** So few that a release of all files takes several transactions. */
const OPERATIONS_MAX = 12;

const FAULTS: Fault[] = [
  'dies before',
  'dies after',
  'fails',
  'loses the answer',
  'is late',
  'is very late',
];

/** The same key in every file: they must never differ. */
function everywhere(value: string): config.Operation[] {
  return Array.from({ length: FILES }, (_, i) => set('v', value, '', `/${i}.conf`));
}

const whole = (value: string) => `${FILES} of v=${value}`;

interface Attempt {
  name: string;
  /** What it needs, done without faults. */
  before?(all: Stage): Promise<unknown>;
  run(all: Stage): Promise<unknown>;
  /** The releases' values where it has happened, and where it has not. */
  done: Record<string, string>;
  undone: Record<string, string>;
  action: string;
}

const ATTEMPTS: Attempt[] = [
  {
    name: 'publishing operations',
    run: ({ publish }) => publish(everywhere('2')),
    done: { 1: whole('1'), 2: whole('2') },
    undone: { 1: whole('1') },
    action: 'publish',
  },
  {
    name: 'publishing a draft',
    before: ({ edit }) => edit(everywhere('2')),
    run: ({ publishDraft }) => publishDraft(BOB),
    done: { 1: whole('1'), 2: whole('2') },
    undone: { 1: whole('1'), draft: whole('2') },
    action: 'publish',
  },
  {
    name: 'rolling back',
    before: ({ publish }) => publish(everywhere('2')),
    run: ({ rollback }) => rollback(1),
    done: { 1: whole('1'), 2: whole('2'), 3: whole('1') },
    undone: { 1: whole('1'), 2: whole('2') },
    action: 'rollback',
  },
  {
    name: 'editing',
    run: ({ edit }) => edit(everywhere('2')),
    done: { 1: whole('1'), draft: whole('2') },
    undone: { 1: whole('1') },
    action: 'edit',
  },
  {
    name: 'discarding',
    before: ({ edit }) => edit(everywhere('2')),
    run: ({ store }) => store.discardDraft({ domain: 'shop', draftRevision: 1 }, BOB),
    done: { 1: whole('1') },
    undone: { 1: whole('1'), draft: whole('2') },
    action: 'discard',
  },
];

describeBackends('a keeper that loses its backend', (place, kind) => {
  // The faults are the same on every backend; that each of them commits whole, its own suite shows.
  const faults = kind === 'lmdb' ? FAULTS : FAULTS.slice(-3);

  test.each(ATTEMPTS)(
    'while $name has done it whole or not at all, and says the truth',
    async (attempt) => {
      const { commits } = await life(attempt, 'fails', 0);
      for (const fault of faults) {
        for (let at = 1; at <= commits; at++) {
          const { answer, seen } = await life(attempt, fault, at);
          const isTrue = answer === 'done' ? seen === 'done' : answer === 'UNAVAILABLE';
          const where = `${fault} at commit ${at} of ${commits}: ${answer}, ${seen}`;
          expect(isTrue && (seen === 'done' || seen === 'undone'), where).toBe(true);
          const isHealed = at === commits && !fault.startsWith('dies');
          if (isHealed) expect(answer, where).toBe('done');
        }
      }
    },
  );

  /** A keeper tries, with one fault; another one looks at what has become of it. */
  async function life(attempt: Attempt, fault: Fault, at: number) {
    const here = await place();
    const prepared = await stage(here.backend, { clock: hastyClock() });
    await prepared.publish(everywhere('1'));
    await attempt.before?.(prepared);
    const before = await deeds(prepared, attempt.action);
    const faulty = faultyBackend(here.backend, { fault, at, operationsMax: OPERATIONS_MAX });
    const broken = await stage(faulty, { clock: hastyClock() });
    const answer = await attempt.run(broken).then(
      () => 'done',
      (error) => toBusError(error).code,
    );
    const after = await stage(await here.another());
    const audited = (await deeds(after, attempt.action)) - before;
    return { answer, commits: faulty.commits, seen: await look(after, attempt, audited) };
  }

  test('never makes a release twice that was acknowledged once', async () => {
    const here = await place();
    const faulty = faultyBackend(here.backend, { fault: 'loses the answer', at: 2 });
    const { publish } = await stage(faulty, { clock: hastyClock() });
    expect(await publish(everywhere('1'))).toBe(1);
    const { store } = await stage(await here.another());
    expect(store.getDomain('shop')).toMatchObject({ release: 1, nextRelease: 2 });
    const { entries } = await store.listAudit({ domain: 'shop', cursor: '', limit: 0 });
    expect(entries.map(({ action }) => action)).toEqual(['publish', 'settings']);
  });
});

/** How often somebody did such a thing. */
async function deeds({ store }: Stage, action: string): Promise<number> {
  const { entries } = await store.listAudit({ domain: 'shop', cursor: '', limit: 0 });
  return entries.filter((entry) => entry.action === action).length;
}

/** `done`, `undone`, or what is neither. */
async function look(all: Stage, attempt: Attempt, audited: number): Promise<string> {
  const releases = await all.store.listReleases({ domain: 'shop', before: 0, limit: 0 });
  const numbers = releases.map(({ number }) => number).reverse();
  const found = await Promise.all(
    numbers.map(async (number) => [number, summary(await all.values(release(number)))]),
  );
  const { draft } = all.store.getDomain('shop');
  const edited = draft && summary(await all.values({ $case: 'draft', value: true }));
  const [seen, done, undone] = [
    { ...Object.fromEntries(found), ...(edited && { draft: edited }) },
    attempt.done,
    attempt.undone,
  ].map((state) => JSON.stringify(state));
  if (audited === 1 && seen === done) return 'done';
  return audited === 0 && seen === undone ? 'undone' : `half: ${seen}, ${audited} in the audit`;
}

/** `20 of 2` if all 20 files say so. */
function summary(values: readonly string[]): string {
  return `${values.length} of ${[...new Set(values)].join()}`;
}

describeBackends('a lost answer', (place) => {
  test('is found out about, also when somebody else has been there since', async () => {
    const here = await place();
    const other = await stage(await here.another());
    const { backend } = here;
    let isLost = false;
    const losing = faultyBackend(backend, { fault: 'fails', at: 0 });
    losing.commit = async (transaction) => {
      const revision = await backend.commit(transaction);
      if (isLost) return revision;
      isLost = true;
      await other.store.publish(
        publishing({ expectedRelease: 1, operations: [set('a', '2')] }),
        BOB,
      );
      throw new BusError('UNAVAILABLE', 'the backend does not answer');
    };
    const { publish } = await stage(losing, { clock: hastyClock() });
    expect(await publish([set('a', '1')])).toBe(1);
    const { store, values } = await stage(await here.another());
    expect(store.getDomain('shop').release).toBe(2);
    expect(await values(release(1))).toEqual(['a=1']);
    expect(await values()).toEqual(['a=2']);
  });
});

describeBackends('two keepers', (place) => {
  test('that make a domain at the same moment both find it made', async () => {
    const here = await place();
    const stages = [await stage(here.backend), await stage(await here.another())];
    for (let made = 0; made < 20; made++) {
      const name = `domain-${made}`;
      await Promise.all(stages.map(({ store }) => store.ensureDomain(name, {}, ANN)));
      for (const { store } of stages) expect(store.getDomain(name).name).toBe(name);
    }
  });
});

describeBackends('twenty writers', (place) => {
  test('at two keepers lose no update, and every acknowledged release is there once', async () => {
    const here = await place();
    const keepers = [await stage(here.backend), await stage(await here.another())];
    await keepers[0]?.publish([set('count', '0', 'int')]);
    const acknowledged = new Map<number, string>();
    const writer = async (name: number): Promise<void> => {
      const { store } = keepers[name % 2] as Stage;
      for (let made = 0; made < 3; ) {
        const note = `${name}-${made}`;
        const number = await increment(store, note);
        if (number === undefined) continue;
        expect(acknowledged.has(number)).toBe(false);
        acknowledged.set(number, note);
        made++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, name) => writer(name)));
    const { store, values } = keepers[0] as Stage;
    // The other keeper may have made the last release a moment ago.
    await eventually(async () => expect(await values()).toEqual(['count=60']));
    const releases = await store.listReleases({ domain: 'shop', before: 0, limit: 100 });
    expect(releases.map(({ number }) => number)).toEqual(
      Array.from({ length: 61 }, (_, i) => 61 - i),
    );
    for (const [number, note] of acknowledged) {
      expect(releases.find((one) => one.number === number)?.note).toBe(note);
    }
  });
});

/** Undefined if somebody else was first. */
async function increment(store: Stage['store'], note: string): Promise<number | undefined> {
  const seen = store.getDomain('shop').release;
  const [file] = await store.content('shop', seen);
  const count = Number(file?.sections[0]?.entries[0]?.raw) + 1;
  const request = {
    domain: 'shop',
    expectedRelease: seen,
    draftRevision: 0,
    operations: [set('count', String(count))],
    canary: undefined,
    note,
  };
  try {
    return (await store.publish(request, ANN)).release?.number;
  } catch (error) {
    expect(toBusError(error)).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('came first'),
    });
    return undefined;
  }
}
