import { access } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { lmdbPlace } from '../backends.suite.js';
import {
  ADMIN,
  DEVELOPER,
  type Office,
  OPERATOR,
  office,
  showing,
  VIEWER,
} from './access.suite.js';

const DAY_MS = 86_400_000;

async function opened(): Promise<Office> {
  const here = await office((await lmdbPlace()).backend);
  await here.hire('ann', ADMIN);
  await here.hire('bob', DEVELOPER);
  return here;
}

const request = (more: Partial<access.CreateTokenRequest> = {}): access.CreateTokenRequest => ({
  user: '',
  note: '',
  grants: [],
  expiresAtMs: 0,
  ...more,
});

test('a token is its user, until it is revoked', async () => {
  const { access: service, as } = await opened();
  const bob = await as('bob');
  const { token, text } = await service.createToken(request({ note: 'CI' }), bob);
  expect(text).toMatch(/^mlb_[0-9a-f]{20}_[\w-]{43}$/);
  expect(await service.whoAmI({}, showing(text))).toMatchObject({
    name: 'bob',
    grants: [DEVELOPER],
    expiresAtMs: 0,
  });
  await service.revokeToken({ id: token?.id ?? '' }, bob);
  await expect(service.whoAmI({}, showing(text))).rejects.toThrow('the token has been revoked');
});

test('a token expires', async () => {
  const { access: service, as, clock } = await opened();
  const { text } = await service.createToken(
    request({ expiresAtMs: clock.now() + DAY_MS }),
    await as('bob'),
  );
  await clock.advance(DAY_MS);
  await expect(service.whoAmI({}, showing(text))).rejects.toThrow(/the token expired/);
});

test('a token does no more than its user, now', async () => {
  const { access: service, hire, as } = await opened();
  const ann = await as('ann');
  const { text } = await service.createToken(
    request({ user: 'bob', grants: [{ system: '*', role: access.Role.ADMIN }] }),
    ann,
  );
  expect((await service.whoAmI({}, showing(text))).grants).toEqual([DEVELOPER]);
  await hire('bob', VIEWER);
  expect((await service.whoAmI({}, showing(text))).grants).toEqual([VIEWER]);
  await service.deleteUser({ name: 'bob' }, ann);
  await expect(service.whoAmI({}, showing(text))).rejects.toThrow('the token has been revoked');
});

test('a token of a disabled user is refused', async () => {
  const { access: service, as } = await opened();
  const { text } = await service.createToken(request(), await as('bob'));
  await service.putUser({
    user: { name: 'bob', grants: [DEVELOPER], disabled: true },
    password: '',
  });
  await expect(service.whoAmI({}, showing(text))).rejects.toThrow('bob is disabled');
});

test('a program makes itself neither a greater token nor another password', async () => {
  const { access: service, as } = await opened();
  const { text } = await service.createToken(request({ grants: [VIEWER] }), await as('bob'));
  const program = showing(text);
  await expect(service.createToken(request(), program)).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: 'bob needs the role admin in all systems (*) to make a token with a token',
  });
  const user = { name: 'bob', grants: [DEVELOPER], disabled: false };
  await expect(service.putUser({ user, password: 'mine' }, program)).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
});

test('only an admin makes and ends tokens of others', async () => {
  const { access: service, hire, as } = await opened();
  await hire('cyd', OPERATOR);
  const [ann, bob, cyd] = [await as('ann'), await as('bob'), await as('cyd')];
  await expect(service.createToken(request({ user: 'bob' }), cyd)).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  const { token } = await service.createToken(request({ user: 'bob' }), ann);
  const ofBob = { id: token?.id ?? '' };
  await expect(service.revokeToken(ofBob, cyd)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect((await service.listTokens({}, cyd)).tokens).toEqual([]);
  expect((await service.listTokens({}, bob)).tokens).toEqual([token]);
  expect((await service.listTokens({}, ann)).tokens).toEqual([token]);
  await service.revokeToken(ofBob, bob);
});

/** What follows the id; it may hold underscores of its own. */
const secretOf = (text: string) => text.replace(/^mlb_[^_]+_/, '');

test('lists are newest first and hold no text', async () => {
  const { access: service, as, clock } = await opened();
  const bob = await as('bob');
  const first = await service.createToken(request({ note: 'first' }), bob);
  await clock.advance(1_000);
  const second = await service.createToken(request({ note: 'second' }), bob);
  const list = await service.listTokens({}, bob);
  expect(list.tokens.map(({ note }) => note)).toEqual(['second', 'first']);
  for (const { text } of [first, second]) {
    expect(JSON.stringify(list)).not.toContain(secretOf(text));
  }
});

const IDLE = { system: 'bank', role: access.Role.VIEWER };
const NODE = { system: 'shop', role: access.Role.NODE };

test.each([
  ['nobody', { user: 'nobody' }, 'there is no such user'],
  ['an idle right', { user: 'bob', grants: [IDLE] }, 'bob has nothing of the right bank:viewer'],
  ['a right apart', { user: 'bob', grants: [NODE] }, 'bob has nothing of the right shop:node'],
  ['a time that has passed', { user: 'bob', expiresAtMs: 1 }, 'would have expired already'],
  ['a long note', { user: 'bob', note: 'x'.repeat(201) }, 'a note of 201 characters'],
  ['the bus itself', {}, 'local is no user who could have a token: name one'],
])('a token for %s is refused', async (_, wrong, message) => {
  const { access: service } = await opened();
  await expect(service.createToken(request(wrong))).rejects.toThrow(message);
});

test('tokens that have long expired make room', async () => {
  const { access: service, as, clock } = await opened();
  await service.createToken(request({ expiresAtMs: clock.now() + 1 }), await as('bob'));
  await clock.advance(29 * DAY_MS);
  await service.createToken(request({ note: 'second' }), await as('bob'));
  expect((await service.listTokens({}, await as('bob'))).tokens).toHaveLength(2);
  await clock.advance(2 * DAY_MS);
  await service.createToken(request({ note: 'third' }), await as('bob'));
  const { tokens } = await service.listTokens({}, await as('bob'));
  expect(tokens.map(({ note }) => note)).toEqual(['third', 'second']);
});
