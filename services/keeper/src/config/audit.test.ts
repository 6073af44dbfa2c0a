import { FakeClock, seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { keys } from '../keys.js';
import { AuditLog } from './audit.js';
import { ANN, BOB, CAT, set, stage } from './store.suite.js';

describeBackends('the audit', (place) => {
  test('says of every write who, from where, and what was before and after', async () => {
    const { store, publish, edit, publishDraft, rollback } = await stage((await place()).backend);
    await publish([set('a', '1')], { note: 'first' });
    await edit([set('a', '2')], BOB);
    await store.discardDraft({ domain: 'shop', draftRevision: 1 }, BOB);
    await edit([set('a', '3')], BOB);
    await publishDraft(CAT, { canary: { nodeIds: ['x'], tags: {}, percent: 0 } });
    await store.abort({ domain: 'shop', release: 2, note: 'slow' }, CAT);
    await publishDraft(CAT, { canary: { nodeIds: ['x'], tags: {}, percent: 0 } });
    await store.promote({ domain: 'shop', release: 3, force: true }, CAT);
    await rollback(1);
    await store.rotateSecretKey(CAT);
    const { entries, cursor } = await store.listAudit({ domain: '', cursor: '', limit: 0 });
    const lines = entries.map(({ action, author, release, note }) => [
      action,
      author,
      release,
      note,
    ]);
    expect(lines.reverse()).toEqual([
      ['settings', 'ann', 0, 'system none, four eyes off, history as the keeper'],
      ['publish', 'ann', 1, 'first'],
      ['edit', 'bob', 0, ''],
      ['discard', 'bob', 0, ''],
      ['edit', 'bob', 0, ''],
      ['canary', 'cat', 2, ''],
      ['abort', 'cat', 2, 'slow'],
      ['canary', 'cat', 3, ''],
      ['promote', 'cat', 3, 'forced'],
      ['rollback', 'ann', 4, ''],
      ['rotate-key', 'cat', 0, expect.stringMatching(/^secret key [0-9a-f]{8}$/)],
    ]);
    expect(cursor).toBe('');
    const edited = entries.at(-3);
    expect(edited).toMatchObject({ from: BOB.from, domain: 'shop', changesTotal: 1 });
    expect(edited?.changes).toMatchObject([
      { key: 'a', before: { raw: '1' }, after: { raw: '2' } },
    ]);
  });

  test('is read page by page, of one domain or of all', async () => {
    const { store, publish } = await stage((await place()).backend);
    await store.ensureDomain('other', {}, BOB);
    for (let i = 1; i <= 5; i++) await publish([set('a', `${i}`)]);
    const read = async (domain: string): Promise<string[]> => {
      const seen: string[] = [];
      for (let cursor = ''; ; ) {
        const page = await store.listAudit({ domain, cursor, limit: 2 });
        expect(page.entries.length).toBeLessThanOrEqual(2);
        seen.push(...page.entries.map(({ domain: of, release }) => `${of} ${release}`));
        cursor = page.cursor;
        if (cursor === '') return seen;
      }
    };
    expect(await read('shop')).toEqual([
      'shop 5',
      'shop 4',
      'shop 3',
      'shop 2',
      'shop 1',
      'shop 0',
    ]);
    expect(await read('other')).toEqual(['other 0']);
    expect((await read('')).length).toBe(7);
  });

  test('shows 200 changes of a write and counts them all; long texts are cut', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([
      ...Array.from({ length: 300 }, (_, i) => set(`key_${i}`, '1')),
      set('long', 'x'.repeat(100_000), '', '/a.conf'),
    ]);
    const { entries } = await store.listAudit({ domain: 'shop', cursor: '', limit: 1 });
    expect(entries[0]?.changes).toHaveLength(200);
    expect(entries[0]?.changesTotal).toBe(301);
    expect(entries[0]?.changes[0]?.after?.raw).toMatch(/^x{200}… \(100000 characters\)$/);
  });

  test('keeps the newest entries and no more than it may', async () => {
    const { backend } = await place();
    const clock = new FakeClock();
    const audit = new AuditLog({ backend, clock, random: seededRandom(1) });
    for (let i = 1; i <= 130; i++) {
      clock.advanceSync(i % 2);
      const domain = i % 3 === 0 ? 'shop' : 'other';
      const { puts } = audit.record(ANN, { domain, action: 'edit', release: i });
      await backend.commit({ puts });
    }
    expect(await audit.trim(10)).toBe(120);
    expect(await audit.trim(10)).toBe(0);
    const { entries } = await audit.list('', 50);
    expect(entries.map(({ release }) => release)).toEqual([
      130, 129, 128, 127, 126, 125, 124, 123, 122, 121,
    ]);
    expect((await audit.list('shop', 50)).entries.map(({ release }) => release)).toEqual([
      129, 126, 123,
    ]);
    expect((await backend.list(keys.allAuditOf)).entries).toHaveLength(10);
  });
});
