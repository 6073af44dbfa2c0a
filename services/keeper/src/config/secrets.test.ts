import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '@malabar/config';
import { FakeClock, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import type { Backend } from '../backend.js';
import { createLmdbBackend } from '../backends/lmdb.js';
import { describeBackends } from '../backends.suite.js';
import { decrypt, encrypt, newKey } from './sealing.js';
import { readSecretKeys, type SecretKeys } from './secret-keys.js';
import {
  ANN,
  BOB,
  DRAFT,
  KEY_A,
  KEY_B,
  publishing,
  refusals,
  release,
  remove,
  set,
  stage,
} from './store.suite.js';

const PLANTED = 'hunter2-planted-secret';

/** Every key and value that a backend has, as one text. */
async function everything(backend: Backend): Promise<string> {
  const { entries } = await backend.list('');
  return entries.map(({ key, value }) => `${key}=${value.toString('latin1')}`).join('\n');
}

describeBackends('secrets', (place) => {
  test('are in nothing that is kept, answered, logged or counted', async () => {
    const { backend } = await place();
    const { store, metrics, entries, edit, publishDraft, publish, rollback } = await stage(backend);
    const answers: unknown[] = [];
    const text = `password secret = ${PLANTED}\n`;
    answers.push(
      await edit([
        { operation: { $case: 'importFile', value: { path: '/app.conf', text } } },
        set('token', PLANTED, 'secret'),
      ]),
    );
    answers.push(await store.diff({ domain: 'shop', from: undefined, to: { state: DRAFT } }));
    answers.push(await publishDraft(BOB));
    answers.push(await publish([set('token', `${PLANTED}-2`)], { note: 'new token' }));
    answers.push(await rollback(1));
    const wrong = [set('token', PLANTED), set('n', 'x', 'int')];
    answers.push(...(await refusals([publish(wrong), edit(wrong)])).map(String));
    const state = { state: release(2) };
    const subscriptions = [{ file: '/app.conf', section: '', verbatim: false }];
    answers.push(await store.getEffective({ domain: 'shop', state, nodeId: '', subscriptions }));
    answers.push(await store.getFiles({ domain: 'shop', state, path: '', reveal: false }, ANN));
    answers.push(await store.listAudit({ domain: '', cursor: '', limit: 0 }));
    answers.push(await store.listReleases({ domain: 'shop', before: 0, limit: 0 }));
    answers.push(await store.validate({ domain: 'shop', operations: wrong, canary: undefined }));
    answers.push(await store.content('shop', 2), entries, await metrics.registry.metrics());
    expect(JSON.stringify(answers)).not.toContain('hunter2');
    expect(await everything(backend)).not.toContain('hunter2');
    expect(JSON.stringify(answers)).toContain('******');
  });

  test('leave where somebody asks to see them, and that is written down', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('password', PLANTED, 'secret')]);
    const request = { domain: 'shop', state: undefined, path: '/app.conf', reveal: true };
    const { files } = await store.getFiles(request, BOB);
    expect(files[0]?.sections[0]?.entries[0]).toMatchObject({ raw: PLANTED });
    const { entries } = await store.listAudit({ domain: 'shop', cursor: '', limit: 1 });
    expect(entries[0]).toMatchObject({ action: 'reveal', author: 'bob', note: '/app.conf' });
  });

  test('that are equal make no difference, whenever they were sealed', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('password', PLANTED, 'secret'), set('a', '1')]);
    await publish([remove('password')]);
    await publish([set('password', PLANTED, 'secret')]);
    const changes = await store.diff({
      domain: 'shop',
      from: { state: release(1) },
      to: { state: release(3) },
    });
    expect(changes).toEqual([]);
    const [raw1, raw3] = await Promise.all(
      [1, 3].map(async (number) => JSON.stringify(await store.content('shop', number))),
    );
    expect(raw1).not.toBe(raw3);
  });

  test('that nobody changes keep their sealed text, so their files keep their blobs', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('password', PLANTED, 'secret'), set('a', '1')]);
    const [file] = await store.content('shop', 1);
    const masked = { ...file, path: '/app.conf', sections: masks(file?.sections ?? []) };
    const put = { operation: { $case: 'putFile', value: { file: masked } } } as const;
    const same = publishing({ expectedRelease: 1, operations: [put as never] });
    expect((await store.publish(same, BOB)).release?.number).toBe(1);
    await publish([put as never, set('a', '2')]);
    const sealed = (files: unknown) => /sealed:\d+:[^"]+/.exec(JSON.stringify(files))?.[0];
    expect(sealed(await store.content('shop', 2))).toBe(sealed([file]));
    const [plain] = await store.unseal('shop', await store.content('shop', 2));
    expect(plain?.sections[0]?.entries.map(({ raw }) => raw)).toEqual(['2', PLANTED]);
  });

  test('that look like sealed ones are sealed all the same', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('password', PLANTED, 'secret')]);
    const sealed = (await store.content('shop', 1))[0]?.sections[0]?.entries[0]?.raw as string;
    await publish([set('copy', sealed, 'secret')]);
    const [plain] = await store.unseal('shop', await store.content('shop', 2));
    expect(plain?.sections[0]?.entries[0]).toMatchObject({ key: 'copy', raw: sealed });
  });

  test('open under the next key, and after a rotation without the one before', async () => {
    const here = await place();
    const first = await stage(here.backend);
    await first.publish([set('password', PLANTED, 'secret')]);
    const both = { current: KEY_B, previous: [KEY_A] };
    const second = await stage(await here.another(), { secretKeys: both });
    expect(await second.store.rotateSecretKey(ANN)).toEqual({ keyId: KEY_B.id, dataKeys: 2 });
    await second.publish([set('token', `${PLANTED}-2`, 'secret')]);
    const third = await stage(await here.another(), { secretKeys: only(KEY_B) });
    const texts = JSON.stringify(
      await third.store.unseal('shop', await third.store.content('shop', 2)),
    );
    expect(texts).toContain(`"${PLANTED}"`);
    expect(texts).toContain(`"${PLANTED}-2"`);
    expect(JSON.stringify(await third.store.content('shop', 2))).toMatch(/sealed:1:.*sealed:2:/);
    expect(await third.rollback(1)).toBe(3);
    await expect(stage(await here.another(), { secretKeys: only(KEY_A) })).rejects.toThrow(
      `kept under secret key ${KEY_B.id}, given: ${KEY_A.id}`,
    );
  });

  test('do not open with another key or none: a keeper says which, and does not start', async () => {
    const here = await place();
    await (await stage(here.backend)).publish([set('password', PLANTED, 'secret')]);
    for (const secretKeys of [only(KEY_B), { current: undefined, previous: [] }]) {
      const error = await stage(await here.another(), { secretKeys }).then(
        String,
        (error) => error,
      );
      expect(error).toMatchObject({ code: 'INVALID', message: expect.stringContaining(KEY_A.id) });
      expect(error.message).not.toMatch(/a{9}|b{9}/);
    }
  });

  test('cannot be kept without a key, and everything else can', async () => {
    const secretKeys = { current: undefined, previous: [] };
    const { publish } = await stage((await place()).backend, { secretKeys });
    await expect(publish([set('password', PLANTED, 'secret')])).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('set keeper.secretKey'),
    });
    expect(await publish([set('a', '1')])).toBe(1);
  });

  test('of one domain do not open in another', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('password', PLANTED, 'secret')]);
    const files = await store.content('shop', 1);
    // The plain text of these very objects is known already.
    const copy = structuredClone(files);
    await expect(store.unseal('other', copy)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(JSON.stringify(await store.unseal('shop', copy))).toContain(PLANTED);
  });
});

function only(current: SecretKeys['current']): SecretKeys {
  return { current, previous: [] };
}

function masks<T extends { entries: { type: string; raw: string }[] }>(sections: readonly T[]) {
  return sections.map((section) => ({
    ...section,
    entries: section.entries.map((entry) =>
      entry.type === 'secret' ? { ...entry, raw: '******' } : entry,
    ),
  }));
}

test('no file of the embedded backend has a secret in it', async () => {
  const path = join(tempDir('secrets'), 'keeper');
  const backend = createLmdbBackend({ path, clock: new FakeClock() });
  await backend.open();
  const { edit, publishDraft } = await stage(backend);
  await edit([set('password', PLANTED, 'secret')]);
  await publishDraft(BOB);
  await backend.close();
  const files = readdirSync(path).map((name) => readFileSync(join(path, name)));
  expect(files.some((bytes) => bytes.includes('/app.conf'))).toBe(true);
  expect(files.some((bytes) => bytes.includes('hunter2'))).toBe(false);
});

test('the embedded backend makes a key that only its owner reads, and keeps it', async () => {
  const folder = tempDir('secrets');
  const made = await readSecretKeys({ folder });
  expect(statSync(join(folder, 'secret.key')).mode & 0o777).toBe(0o600);
  expect(await readSecretKeys({ folder })).toEqual(made);
  const given = await readSecretKeys({ folder, secretKey: Secret.inline('x'.repeat(32)) });
  expect(given.previous).toEqual([made.current]);
  expect(given.current).not.toEqual(made.current);
});

test('a given key is used as it is, and none is made beside it', async () => {
  const folder = tempDir('secrets');
  const keys = {
    secretKey: Secret.inline('x'.repeat(32)),
    previousSecretKey: Secret.inline('y'.repeat(32)),
  };
  expect(await readSecretKeys({ folder, ...keys })).toMatchObject({
    current: { id: expect.stringMatching(/^[0-9a-f]{8}$/) },
    previous: [{ id: expect.stringMatching(/^[0-9a-f]{8}$/) }],
  });
  expect(readdirSync(folder)).toEqual([]);
});

test('a key that is too short or empty is refused without being shown', async () => {
  const short = readSecretKeys({ secretKey: Secret.inline('swordfish') });
  await expect(short).rejects.toMatchObject({ code: 'INVALID' });
  await expect(short).rejects.not.toThrow('swordfish');
  const folder = tempDir('secrets');
  writeFileSync(join(folder, 'secret.key'), '\n');
  await expect(readSecretKeys({ folder })).rejects.toThrow(/secret\.key/);
});

test('what is sealed opens with the same key and purpose, and only whole', () => {
  const key = newKey();
  const sealed = encrypt(key, Buffer.from('text'), 'shop');
  expect(decrypt(key, sealed, 'shop').toString()).toBe('text');
  const bent = Buffer.from(sealed);
  bent[14] = (bent[14] as number) ^ 1;
  const cut = sealed.subarray(0, sealed.length - 1);
  const cases: [Buffer, Buffer, string][] = [
    [newKey(), sealed, 'shop'],
    [key, sealed, 'other'],
    [key, bent, 'shop'],
    [key, cut, 'shop'],
    [key, Buffer.alloc(3), 'shop'],
  ];
  for (const [with_, bytes, about] of cases) {
    expect(() => decrypt(with_, bytes, about)).toThrow(`what is sealed of ${about} does not open`);
  }
});
