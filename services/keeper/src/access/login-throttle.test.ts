import { FakeClock } from '@malabar/testkit';
import { beforeEach, expect, test } from 'vitest';
import { LoginThrottle } from './login-throttle.js';

const PEER = '10.0.0.1:1000';

let clock: FakeClock;
let throttle: LoginThrottle;

beforeEach(() => {
  clock = new FakeClock();
  throttle = new LoginThrottle(clock);
});

function fail(times: number, user = 'ann', peer = PEER): void {
  for (let i = 0; i < times; i++) throttle.begin(user, peer);
}

test('a few mistakes cost nothing, then each doubles the wait', () => {
  fail(4);
  const waits = [1, 2, 4, 8, 16, 32, 60, 60];
  for (const seconds of waits) {
    const refusal = `too many failed logins: try again in ${seconds} s`;
    expect(() => fail(1)).toThrow(refusal);
    clock.advanceSync(seconds * 1_000 - 1);
    expect(() => fail(1)).toThrow('try again in 1 s');
    clock.advanceSync(1);
    fail(1);
  }
});

test('what had to wait is not counted', () => {
  fail(4);
  for (let i = 0; i < 100; i++) expect(() => fail(1)).toThrow('try again in 1 s');
});

test('a success clears the user and not the address', () => {
  fail(3);
  throttle.begin('ann', PEER).succeeded();
  fail(4);
  expect(() => fail(1)).toThrow('too many failed logins');
  for (let i = 0; i < 12; i++) fail(1, `user-${i}`);
  throttle.begin('own', PEER).succeeded();
  fail(1, 'one more');
  expect(() => fail(1, 'another')).toThrow('too many failed logins');
});

test('one address that tries many users is slowed, whatever its port', () => {
  for (let i = 0; i < 20; i++) fail(1, `user-${i}`, `10.0.0.1:${i + 1}`);
  expect(() => fail(1, 'user-x', '10.0.0.1:99')).toThrow('too many failed logins');
  fail(1, 'user-x', '10.0.0.2:99');
});

test('many addresses that try one user are slowed a little: he is never locked out for long', () => {
  for (let i = 0; i < 10; i++) fail(1, 'ann', `10.0.1.${i}:1`);
  expect(() => fail(1, 'ann', '10.0.2.1:1')).toThrow('try again in 1 s');
  for (let i = 0; i < 50; i++) {
    clock.advanceSync(5_000);
    fail(1, 'ann', `10.0.3.${i}:1`);
  }
  clock.advanceSync(5_000);
  throttle.begin('ann', '10.0.2.1:1').succeeded();
});

test('after a quarter of an hour it is forgotten', () => {
  fail(4);
  clock.advanceSync(15 * 60_000);
  fail(4);
});

test('memory is bounded, and invented users do not make an address forgotten', () => {
  throttle = new LoginThrottle(clock, 100);
  for (let i = 0; i < 1_000; i++) {
    clock.advanceSync(60_000);
    fail(1, `user-${i}`, '10.0.0.1:1');
  }
  expect(throttle.size).toBe(100 + 100 + 1);
  expect(() => fail(1, 'another', '10.0.0.1:2')).toThrow('try again in 60 s');
});
