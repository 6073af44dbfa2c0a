import type { BusError } from '@malabar/core';
import { FakeClock } from '@malabar/testkit';
import { beforeEach, expect, test } from 'vitest';
import { type Authenticator, authenticator } from './authenticator.js';
import type { People } from './people.js';
import { callWith, grants, peopleOf, person, SESSION, sessionOf, tokenOf } from './people.suite.js';
import { BUS, LOCAL } from './principal.js';
import { makeProgramToken, makeSessionToken } from './token.js';

const HOUR_MS = 3_600_000;

const ann = person('ann', 'shop:operator', '*:viewer');
let clock: FakeClock;
let people: People | undefined;
let authenticate: Authenticator;

beforeEach(() => {
  clock = new FakeClock();
  people = peopleOf([ann]);
  authenticate = authenticator(() => people, clock);
});

/** Why a call is refused; the reason never holds what was shown. */
function refusal(shown: string, facts = {}): string {
  try {
    authenticate(callWith(shown, facts));
  } catch (error) {
    const { code, message } = error as BusError;
    expect(code).toBe('UNAUTHENTICATED');
    const parts = shown
      .split(/[_.]/)
      .slice(1)
      .filter((part) => part.length > 2);
    for (const part of parts) expect(message).not.toContain(part);
    return message;
  }
  throw new Error('it was accepted');
}

test('a call that shows nothing is local where the bus asks for no token', () => {
  expect(authenticate(callWith(undefined, { trusted: true }))).toBe(LOCAL);
});

test('a call with the token of the bus is the bus', () => {
  expect(authenticate(callWith('the token of the bus', { trusted: true }))).toBe(BUS);
});

test('a call that shows nothing, or a wrong bus token, is refused where the bus asks for one', () => {
  expect(() => authenticate(callWith())).toThrow(/log in, or show a token/);
  expect(refusal('a wrong one')).toMatch(/neither the token of this bus/);
});

test('a session is its user, until it expires', async () => {
  const text = sessionOf(ann, clock.now() + HOUR_MS);
  const call = callWith(text);
  expect(authenticate(call)).toMatchObject({ name: 'ann', grants: ann.grants });
  await clock.advance(HOUR_MS);
  expect(() => authenticate(call)).toThrow(/the session expired at 2030-01-01T01:00:00/);
});

test('a user token counts also where everybody else is local', () => {
  const call = callWith(sessionOf(ann, clock.now() + HOUR_MS), { trusted: true });
  expect(authenticate(call).name).toBe('ann');
  expect(refusal('mls_nonsense', { trusted: true })).toMatch(/cut or misspelt/);
});

test('a change of the password ends the sessions of before, also during a call', () => {
  const call = callWith(sessionOf(ann, clock.now() + HOUR_MS));
  authenticate(call);
  people = peopleOf([{ ...ann, stamp: 'another' }]);
  expect(() => authenticate(call)).toThrow('the session has been ended: log in again');
});

test('a disabled user is refused, with session and with token', () => {
  const { text, token } = tokenOf('ann');
  people = peopleOf([{ ...ann, disabled: true }], [token]);
  expect(refusal(sessionOf(ann, clock.now() + HOUR_MS))).toBe('ann is disabled');
  expect(refusal(text)).toBe('ann is disabled');
});

test('what was allowed to a user is allowed no more once it is taken away', () => {
  const call = callWith(sessionOf(ann, clock.now() + HOUR_MS));
  expect(authenticate(call).grants).toEqual(ann.grants);
  people = peopleOf([{ ...ann, grants: grants('crm:viewer') }]);
  expect(authenticate(call).grants).toEqual(grants('crm:viewer'));
});

test('a session of another bus, or signed by nobody, is refused', () => {
  const claims = { user: 'ann', stamp: ann.stamp, expiresAtMs: clock.now() + HOUR_MS };
  const foreign = makeSessionToken({ bus: 'aaaaaaaa', ...claims }, 'another key');
  expect(refusal(foreign)).toMatch(/made by another bus/);
  const forged = makeSessionToken({ bus: SESSION.bus, ...claims }, 'another key');
  expect(refusal(forged)).toMatch(/not signed by this bus/);
});

test('a session whose payload was changed is refused', () => {
  const [payload, mac] = sessionOf(ann, clock.now() + HOUR_MS)
    .slice(4)
    .split('.');
  const claims = JSON.parse(String(Buffer.from(payload as string, 'base64url')));
  claims[3] += HOUR_MS;
  const longer = Buffer.from(JSON.stringify(claims)).toString('base64url');
  expect(refusal(`mls_${longer}.${mac}`)).toMatch(/not signed by this bus/);
});

test('a program token is its user, with no more than both may', () => {
  const { text, token } = tokenOf('ann', { grants: grants('shop:admin', 'crm:viewer') });
  people = peopleOf([ann], [token]);
  const principal = authenticate(callWith(text));
  expect(principal).toMatchObject({ name: 'ann', token: token.id });
  expect(principal.grants).toEqual(grants('shop:operator', 'crm:viewer'));
});

test('a program token without rights of its own has those of its user', () => {
  const { text, token } = tokenOf('ann');
  people = peopleOf([ann], [token]);
  expect(authenticate(callWith(text)).grants).toEqual(ann.grants);
});

test('an expired token says when it expired', () => {
  const { text, token } = tokenOf('ann', { expiresAtMs: clock.now() });
  people = peopleOf([ann], [token]);
  expect(refusal(text)).toBe('the token expired at 2030-01-01T00:00:00.000Z');
});

test('a revoked token is told from one of another bus', () => {
  expect(refusal(makeProgramToken(SESSION.bus).text)).toBe('the token has been revoked');
  expect(refusal(makeProgramToken('aaaaaaaa').text)).toBe('the token was made by another bus');
});

test('a known id with another secret is refused', () => {
  const { text, token } = tokenOf('ann');
  people = peopleOf([ann], [token]);
  const wrong = `${text.slice(0, 25)}${'x'.repeat(43)}`;
  expect(refusal(wrong)).toBe('the token is not the one of its id');
});

test.each([
  'mlb_',
  'mlb_abc',
  'mlb_0123_secret',
  'mls_',
  'mls_a.b',
  'mls_bm90IGpzb24.x',
  'mlb_\u{1f41f}',
])('the malformed token %j is refused, and not repeated', (text) => {
  expect(refusal(text)).toMatch(/cut or misspelt/);
});

test('a token of a user who is gone is refused', () => {
  const { text, token } = tokenOf('bob');
  people = peopleOf([ann], [token]);
  expect(refusal(text)).toBe('the user of the token is gone');
});

test('while nobody knows who is who, user tokens are unavailable and others work', () => {
  people = undefined;
  expect(() => authenticate(callWith(sessionOf(ann, clock.now() + HOUR_MS)))).toThrow(
    expect.objectContaining({ code: 'UNAVAILABLE' }),
  );
  expect(authenticate(callWith(undefined, { trusted: true }))).toBe(LOCAL);
});
