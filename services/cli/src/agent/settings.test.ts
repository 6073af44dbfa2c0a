import { userInfo } from 'node:os';
import type { AgentConfig } from '@malabar/config';
import { expect, test } from 'vitest';
import { findOwner } from './owner.js';
import { settleAgent } from './settings.js';

const output = { file: 'a.json', format: 'json', mode: 0o640, reloadTimeoutMs: 1000 } as const;
const agent = (more: object = {}, rest: Partial<AgentConfig> = {}): AgentConfig => ({
  keepers: ['127.0.0.1:7400'],
  tags: {},
  domains: { shop: { subscribe: ['redis.conf'], outputs: [{ ...output, ...more }] } },
  ...rest,
});

test('relative paths are those of the working directory', async () => {
  const { domains } = await settleAgent(agent(), '/srv/app');
  expect(domains[0]?.outputs[0]?.path).toBe('/srv/app/a.json');
  expect(domains[0]?.subscriptions[0]?.file).toBe('/redis.conf');
});

test('a snapshot belongs to its node, whatever the node is called', async () => {
  const { snapshotFile } = await settleAgent(
    agent({}, { snapshot: 's', node: '../x:80' }),
    '/srv/app',
  );
  expect(snapshotFile).toBe('/srv/app/s/%2E%2E%2Fx%3A80.snapshot');
});

test('a name that is not subscribed to is refused', async () => {
  await expect(settleAgent(agent({ only: ['mysql'] }), '/')).rejects.toThrow(
    "a.json: 'mysql' is not subscribed to",
  );
});

test('owners are found by name and by number', () => {
  const { uid, gid, username } = userInfo();
  expect(findOwner(username)).toEqual({ uid, gid });
  expect(findOwner('root:daemon')).toEqual({ uid: 0, gid: 1 });
  expect(findOwner('12:34')).toEqual({ uid: 12, gid: 34 });
});

test.each([
  ['no-such-user', "owner 'no-such-user': there is no user 'no-such-user'"],
  ['root:no-such-group', "owner 'root:no-such-group': there is no group 'no-such-group'"],
  ['a:b:c', "owner 'a:b:c' is not of the form user or user:group"],
  ['', "owner '' is not of the form"],
])('owner %j is refused', (text, reason) => {
  expect(() => findOwner(text)).toThrow(reason);
});
