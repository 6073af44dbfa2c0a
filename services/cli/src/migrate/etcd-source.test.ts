import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, etcdServer, freePort, needs, packages, tempDir } from '@malabar/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { type EtcdOptions, parseEtcd, withEtcd } from './etcd-source.js';

test.each([
  ['10.0.0.7:2379', ['10.0.0.7:2379'], false],
  ['http://a:2379/, http://b:2379', ['a:2379', 'b:2379'], false],
  ['https://a:2379,https://[::1]:2379', ['a:2379', '[::1]:2379'], true],
])('%s is read', (text, endpoints, tls) => {
  expect(parseEtcd(text)).toEqual({ endpoints, tls });
});

test.each([
  ['', /not host:port/],
  ['a', /'a' is not host:port/],
  ['a:1,', /not host:port/],
  ['ftp://a:1', /not host:port/],
  ['http://a:1/v3', /not host:port/],
  ['a:1,https://b:1', /some members with https/],
  ['http://root:hush@a:1', /a user or a password in it/],
])('%s is refused, and no password is repeated', (text, reason) => {
  expect(() => parseEtcd(text)).toThrow(reason);
  expect(() => parseEtcd(text)).not.toThrow(/hush/);
});

const entries = (options: Partial<EtcdOptions>, env = {}) =>
  withEtcd(memoryContext({ env }), { etcd: '', timeout: '5s', ...options }, (client) =>
    client.list('/'),
  );

test.each<[string, Partial<EtcdOptions>, object, RegExp]>([
  ['a certificate without its key', { etcd: 'https://a:1', cert: 'x' }, {}, /belong together/],
  ['TLS files without https', { etcd: 'a:1', key: 'x', cert: 'y' }, {}, /for an etcd with https/],
  [
    'a file that is not there',
    { etcd: 'https://a:1', ca: '/no/such' },
    {},
    /cannot read \/no\/such/,
  ],
  ['a password of nobody', { etcd: 'a:1' }, { MALABAR_ETCD_PASSWORD: 'x' }, /no user/],
  ['a limit that is none', { etcd: 'a:1', timeout: 'soon' }, {}, /--timeout/],
])('%s is refused', async (_, options, env, reason) => {
  await expect(entries(options, env)).rejects.toThrow(reason);
});

needs(describe, await packages.etcd())('an etcd with TLS', () => {
  test('is read with the files that are named, and not without them', async () => {
    const authority = createAuthority();
    const [ours, theirs] = [authority.issue('migration'), authority.issue('etcd')];
    const [plain, secure] = [await freePort(), await freePort()];
    const server = await etcdServer({
      port: plain,
      args: [
        ...['--listen-client-urls', `http://127.0.0.1:${plain},https://127.0.0.1:${secure}`],
        ...['--cert-file', theirs.cert, '--key-file', theirs.key],
        ...['--client-cert-auth', '--trusted-ca-file', authority.ca],
      ],
    });
    onTestFinished(() => server.stop());
    const etcd = `https://127.0.0.1:${secure}`;
    const { cert, key } = ours;
    expect(await entries({ etcd, ca: authority.ca, cert, key })).toMatchObject({ entries: [] });
    await expect(entries({ etcd, ca: authority.ca })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    const stranger = join(tempDir('etcd-source'), 'ca.pem');
    writeFileSync(stranger, 'no certificate');
    await expect(entries({ etcd, ca: stranger, cert, key })).rejects.toThrow();
  });
});
