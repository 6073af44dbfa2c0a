import { PEOPLE_DOMAIN, USERS_FILE } from '@malabar/access';
import { access } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { lmdbPlace } from '../backends.suite.js';
import {
  ADMIN,
  DEVELOPER,
  type Office,
  OPERATOR,
  office,
  passwordOf,
  setPeople,
  VIEWER,
} from './access.suite.js';

const opened = async (): Promise<Office> => office((await lmdbPlace()).backend);

const user = (name: string, ...grants: access.Grant[]): access.User => ({
  name,
  grants,
  disabled: false,
});

test('a wrong password, an unknown user and one without a password sound alike', async () => {
  const { access: service, hire, entries } = await opened();
  await hire('ann', ADMIN);
  await service.putUser({ user: user('robot'), password: '' });
  const refusal = { code: 'WRONG_PASSWORD', message: 'wrong user or password' };
  for (const name of ['ann', 'nobody', 'robot', '']) {
    for (const password of ['wrong', '']) {
      await expect(service.login({ user: name, password })).rejects.toMatchObject(refusal);
    }
  }
  const logged = entries.map(({ fields }) => fields.user);
  expect(logged).toContain('ann');
  expect(logged).not.toContain('nobody');
});

test('failed logins are slowed down', async () => {
  const { access: service, hire, as, clock } = await opened();
  await hire('ann', ADMIN);
  for (let i = 0; i < 4; i++) {
    await service.login({ user: 'ann', password: `guess ${i}` }).catch(() => {});
  }
  await expect(as('ann')).rejects.toMatchObject({
    code: 'BUSY',
    message: 'too many failed logins: try again in 1 s',
  });
  await clock.advance(1_000);
  await as('ann');
});

test('a disabled user is out, with his sessions, and stays out of them when enabled', async () => {
  const { access: service, hire, as } = await opened();
  await hire('ann', ADMIN);
  await hire('bob', VIEWER);
  const session = await as('bob');
  await service.putUser({ user: { ...user('bob', VIEWER), disabled: true }, password: '' });
  await expect(service.whoAmI({}, session)).rejects.toThrow('bob is disabled');
  await expect(as('bob')).rejects.toMatchObject({ code: 'FORBIDDEN', message: 'bob is disabled' });
  await service.putUser({ user: user('bob', VIEWER), password: '' });
  await expect(service.whoAmI({}, session)).rejects.toThrow('the session has been ended');
  expect((await service.whoAmI({}, await as('bob'))).name).toBe('bob');
});

test('a password stays when none is given', async () => {
  const { access: service, hire, as } = await opened();
  await hire('ann', ADMIN);
  const session = await as('ann');
  await service.putUser({ user: user('ann', ADMIN, VIEWER), password: '' });
  expect((await service.whoAmI({}, session)).grants).toEqual([ADMIN, VIEWER]);
});

test('an admin sees everybody, others themselves; nobody sees a password', async () => {
  const { access: service, hire, as } = await opened();
  await hire('bob', VIEWER);
  await hire('ann', ADMIN);
  expect((await service.listUsers({}, await as('ann'))).users).toEqual([
    user('ann', ADMIN),
    user('bob', VIEWER),
  ]);
  expect((await service.listUsers({}, await as('bob'))).users).toEqual([user('bob', VIEWER)]);
});

test('a user may change his password and nothing else', async () => {
  const { access: service, hire, as } = await opened();
  await hire('ann', ADMIN);
  await hire('bob', VIEWER);
  const bob = await as('bob');
  const put = (one: access.User, password = 'x') => service.putUser({ user: one, password }, bob);
  const refusal = {
    code: 'FORBIDDEN',
    message: expect.stringContaining('bob needs the role admin'),
  };
  await expect(put(user('bob', ADMIN))).rejects.toMatchObject(refusal);
  await expect(put({ ...user('bob', VIEWER), disabled: true })).rejects.toMatchObject(refusal);
  await expect(put(user('ann', ADMIN))).rejects.toMatchObject(refusal);
  await expect(put(user('new'))).rejects.toMatchObject(refusal);
  await expect(service.deleteUser({ name: 'ann' }, bob)).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  await put(user('bob', VIEWER), passwordOf('bob'));
  await as('bob');
});

test('the last admin cannot be taken away, by any way', async () => {
  const here = await opened();
  const { access: service, hire, store } = here;
  await hire('bob', VIEWER);
  await hire('ann', ADMIN);
  const refusal = {
    code: 'INVALID',
    message: '/users.conf: nobody would be admin of * any more; make somebody else one first',
  };
  const disabled = { ...user('ann', ADMIN), disabled: true };
  await expect(service.deleteUser({ name: 'ann' })).rejects.toMatchObject(refusal);
  await expect(service.putUser({ user: disabled, password: '' })).rejects.toMatchObject(refusal);
  await expect(service.putUser({ user: user('ann', VIEWER), password: '' })).rejects.toMatchObject(
    refusal,
  );
  const place = { file: USERS_FILE, section: 'ann', key: 'disabled' };
  await expect(setPeople(here, place, 'true')).rejects.toMatchObject(refusal);
  const back = { domain: PEOPLE_DOMAIN, toRelease: 2, path: '', expectedRelease: 3, note: '' };
  await expect(store.rollback(back, { name: 'ann', from: 'x' })).rejects.toMatchObject(refusal);
  await hire('cyd', ADMIN);
  await service.deleteUser({ name: 'ann' });
});

test.each([
  ['local', 'nobody can be called "local"'],
  ['bus', 'nobody can be called "bus"'],
  ['DEFAULT', 'nobody can be called "DEFAULT"'],
  ['a:b', 'a user name has'],
  ['../x', 'a user name has'],
  ['', 'a user name has'],
  ['x'.repeat(65), 'a user name has'],
])('nobody can be called %j', async (name, message) => {
  const { access: service } = await opened();
  const put = service.putUser({ user: user(name), password: '' });
  await expect(put).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringContaining(message),
  });
});

test.each([
  [[{ system: 'a,b', role: 2 }], 'no name of a system'],
  [[{ system: 'a:b', role: 2 }], 'no name of a system'],
  [[{ system: 'shop', role: 0 }], 'names no role'],
  [[{ system: 'shop', role: 99 }], 'names no role'],
  [[VIEWER, DEVELOPER], 'two rights in shop'],
] as [access.Grant[], string][])('the rights %j are refused', async (grants, message) => {
  const { access: service } = await opened();
  const put = service.putUser({ user: user('ann', ...grants), password: '' });
  await expect(put).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringContaining(message),
  });
});

test.each([
  ['/users.conf', 'ann', 'password', 'plain text', 'secret', 'is no hash of a password'],
  ['/users.conf', 'ann', 'grants', 'shop:king', 'map[string]string', 'is not of the form'],
  ['/users.conf', 'bus', 'disabled', 'true', 'bool', 'nobody can be called "bus"'],
  ['/users.conf', 'ann', 'shoe', '46', 'int', 'unknown key'],
  ['/tokens.conf', 'abc', 'user', 'nobody', 'string', '"nobody" is no user'],
  ['/tokens.conf', 'abc', 'hash', 'abc', 'string', 'must be of type secret'],
  ['/session.conf', '', 'key', 'abc', 'string', 'must be of type secret'],
  ['/others.conf', '', 'a', 'b', 'string', 'users.conf, tokens.conf and session.conf only'],
])('%s [%s] %s = %s is refused', async (file, section, key, raw, type, message) => {
  const here = await opened();
  await here.hire('ann', ADMIN);
  const refused = setPeople(here, { file, section, key }, raw, { type });
  await expect(refused).rejects.toThrow(message);
  if (type === 'secret') await expect(refused).rejects.not.toThrow(raw);
});

test('a user of malabar.yaml is changed there only', async () => {
  const here = await opened();
  const { access: service, hire } = here;
  await hire('ann', ADMIN);
  await hire('bob', VIEWER);
  const place = { file: USERS_FILE, section: 'bob', key: 'source' };
  await setPeople(here, place, 'file');
  const refusal = { code: 'CONFLICT', message: 'bob is kept in malabar.yaml: change it there' };
  await expect(service.deleteUser({ name: 'bob' })).rejects.toMatchObject(refusal);
  await expect(service.putUser({ user: user('bob'), password: '' })).rejects.toMatchObject(refusal);
});

test('every write is audited with its author, and no word of a secret', async () => {
  const { access: service, hire, as, audit } = await opened();
  await hire('ann', ADMIN);
  const ann = await as('ann');
  await service.putUser({ user: user('bob', VIEWER), password: 'the new password' }, ann);
  const { text } = await service.createToken(
    { user: 'bob', note: 'for tests', grants: [], expiresAtMs: 0 },
    ann,
  );
  await service.deleteUser({ name: 'bob' }, ann);
  const lines = await audit();
  expect(lines[0]).toContain('"author":"ann","from":"local"');
  expect(lines[0]).toContain('user bob deleted');
  const all = lines.join('\n');
  for (const secret of [
    'the new password',
    text.replace(/^mlb_[^_]+_/, ''),
    'scrypt$',
    passwordOf('ann'),
  ]) {
    expect(all).not.toContain(secret);
  }
  expect(all).toContain('******');
});

test('rights hold in their system only', async () => {
  const { config: service, hire, as, store } = await opened();
  await hire('ann', ADMIN);
  await hire('dev', DEVELOPER);
  await hire('op', OPERATOR);
  await hire('other', { system: 'bank', role: access.Role.ADMIN });
  const dev = await as('dev');
  const edit = {
    domain: 'shop',
    operations: [
      {
        operation: {
          $case: 'setKey' as const,
          value: { file: '/a.conf', section: '', key: 'a', type: '', raw: '1' },
        },
      },
    ],
    draftRevision: 0,
    baseRelease: 0,
  };
  const publish = {
    domain: 'shop',
    expectedRelease: 0,
    draftRevision: 1,
    operations: [],
    note: '',
    canary: undefined,
  };
  const refused = (who: string, role: string) => ({
    code: 'FORBIDDEN',
    message: `${who} needs the role ${role} in the system shop`,
  });
  await expect(service.editDraft(edit, await as('other'))).rejects.toMatchObject(
    refused('other', 'developer'),
  );
  await service.editDraft(edit, dev);
  await expect(service.publish(publish, dev)).rejects.toMatchObject(refused('dev', 'operator'));
  await service.publish(publish, await as('op'));
  expect((await service.listDomains({}, dev)).domains.map(({ name }) => name)).toEqual(['shop']);
  expect((await service.listDomains({}, await as('other'))).domains).toEqual([]);
  await expect(service.getDomain({ domain: PEOPLE_DOMAIN }, await as('op'))).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  expect(store.getDomain('shop').release).toBe(1);
});

test('four eyes are those of two people, whatever they come in with', async () => {
  const { config: service, access: people, hire, as, store } = await opened();
  await hire('ann', ADMIN);
  await hire('bob', OPERATOR);
  const settings = { system: 'shop', description: '', fourEyes: true, history: 0 };
  await service.putDomain({ domain: 'shop', settings, settingsRevision: 1 }, await as('ann'));
  const bob = await as('bob');
  const value = { file: '/a.conf', section: '', key: 'a', type: '', raw: '1' };
  const operations = [{ operation: { $case: 'setKey' as const, value } }];
  await service.editDraft({ domain: 'shop', operations, draftRevision: 0, baseRelease: 0 }, bob);
  const publish = {
    domain: 'shop',
    expectedRelease: 0,
    draftRevision: 1,
    operations: [],
    note: '',
    canary: undefined,
  };
  const { text } = await people.createToken(
    { user: '', note: '', grants: [], expiresAtMs: 0 },
    bob,
  );
  for (const own of [bob, { metadata: { authorization: `Bearer ${text}` } }]) {
    await expect(service.publish(publish, own)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('bob has edited this'),
    });
  }
  const { release } = await service.publish(publish, await as('ann'));
  expect(release).toMatchObject({ author: 'ann', editors: ['bob'] });
  expect(store.getDomain('shop').release).toBe(1);
});
