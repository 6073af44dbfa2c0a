import { readFileSync } from 'node:fs';
import {
  createAuthority,
  cuttingProxy,
  type EtcdServer,
  etcdServer,
  eventually,
  freePort,
  needs,
  packages,
} from '@malabar/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EtcdClient, type EtcdOptions } from './client.js';

const put = (key: string, value: string | Buffer = '') => ({ key, value: Buffer.from(value) });

async function started(args: readonly string[] = []): Promise<EtcdServer> {
  const server = await etcdServer({ args });
  onTestFinished(() => server.stop());
  return server;
}

function connected(options: EtcdOptions): EtcdClient {
  const client = new EtcdClient(options);
  onTestFinished(() => client.close());
  return client;
}

/** Etcd's own HTTP gateway, for what the client has no business with. */
async function administer({ port }: EtcdServer, call: string, body: object): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/v3/auth/${call}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Of an etcd in which `keeper` (password `right`) may use what begins with `/malabar/`. */
async function guarded(): Promise<EtcdServer> {
  const server = await started();
  const call = (name: string, body: object) => administer(server, name, body);
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const perm = { permType: 'READWRITE', key: base64('/malabar/'), range_end: base64('/malabar0') };
  for (const [name, password] of Object.entries({ root: 'secret', keeper: 'right' })) {
    await call('user/add', { name, password });
    await call('role/add', { name });
    await call('user/grant', { user: name, role: name });
  }
  await call('role/grant', { name: 'keeper', perm });
  await call('enable', {});
  return server;
}

needs(describe, await packages.etcd())('a client of etcd', () => {
  test('with the right password is let in, and no further than its role', async () => {
    const { address } = await guarded();
    const client = connected({ endpoints: [address], user: 'keeper', password: 'right' });
    await client.commit({ puts: [put('/malabar/a', 'x')] });
    expect((await client.get('/malabar/a'))?.value.toString()).toBe('x');
    await expect(client.get('/other/a')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const leaseId = await client.grant(5000);
    expect(await client.keepAlive(leaseId)).toBe(true);
  });

  test.each([
    ['a wrong password', { user: 'keeper', password: 'wrong' }],
    ['an unknown user', { user: 'nobody', password: 'right' }],
    ['no user at all', {}],
  ])('with %s is refused, and the error names etcd but no password', async (_, login) => {
    const { address } = await guarded();
    const client = connected({ endpoints: [address], ...login });
    const refused = await client.get('/malabar/a').catch((error) => error);
    expect(refused).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(refused.message).toContain(`etcd at ${address}`);
    expect(refused.message).not.toMatch(/right|wrong/);
  });

  test('logs in again when etcd has forgotten its login', async () => {
    const server = await guarded();
    const login = { user: 'keeper', password: 'right' };
    const client = connected({ endpoints: [server.address], ...login });
    await client.commit({ puts: [put('/malabar/a', 'x')] });
    server.kill('SIGKILL');
    await server.exited;
    const again = await etcdServer({ port: server.port, dir: server.dir });
    onTestFinished(() => again.stop());
    await eventually(async () => expect(await client.get('/malabar/a')).toBeDefined());
    expect(await client.commit({ puts: [put('/malabar/b', 'x')] })).toBeGreaterThan(0);
  });

  test('speaks TLS and shows its certificate', async () => {
    const authority = createAuthority();
    const [ours, theirs] = [authority.issue('keeper'), authority.issue('etcd')];
    const secure = await freePort();
    const plain = await freePort();
    const server = await etcdServer({
      port: plain,
      args: [
        ...['--listen-client-urls', `http://127.0.0.1:${plain},https://127.0.0.1:${secure}`],
        ...['--cert-file', theirs.cert, '--key-file', theirs.key],
        ...['--client-cert-auth', '--trusted-ca-file', authority.ca],
      ],
    });
    onTestFinished(() => server.stop());
    const ca = readFileSync(authority.ca);
    const tls = { ca, cert: readFileSync(ours.cert), key: readFileSync(ours.key) };
    const client = connected({ endpoints: [`127.0.0.1:${secure}`], tls });
    expect(await client.commit({ puts: [put('a')] })).toBeGreaterThan(0);
    const stranger = connected({ endpoints: [`127.0.0.1:${secure}`], tls: { ca } });
    await expect(stranger.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('goes on with another member when one does not answer, and stays there', async () => {
    const server = await started();
    const proxy = await cuttingProxy(server);
    onTestFinished(() => proxy.stop());
    const dead = `127.0.0.1:${await freePort()}`;
    const client = connected({ endpoints: [dead, proxy.address, server.address] });
    expect(await client.get('a')).toBeUndefined();
    const leaseId = await client.grant(60_000);
    proxy.cut();
    expect(await client.get('a')).toBeUndefined();
    const startedAt = performance.now();
    await client.commit({ puts: [put('a')] });
    expect(await client.keepAlive(leaseId)).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  test('says that a request is too large for the server', async () => {
    const { address } = await started(['--max-request-bytes', '1000', '--max-txn-ops', '4']);
    const client = connected({ endpoints: [address] });
    const big = client.commit({ puts: [put('a', Buffer.alloc(600_000))] });
    await expect(big).rejects.toMatchObject({ code: 'TOO_LARGE' });
    const many = client.commit({ puts: ['a', 'b', 'c', 'd', 'e'].map((key) => put(key)) });
    await expect(many).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  test('says that the server has no room, and still reads', async () => {
    const { address } = await started(['--quota-backend-bytes', '3000000']);
    const client = connected({ endpoints: [address] });
    const filling = (async () => {
      for (let i = 0; i < 50; i++)
        await client.commit({ puts: [put(`k${i}`, Buffer.alloc(200_000))] });
    })();
    await expect(filling).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await client.get('k0')).toBeDefined();
  });

  test('lists at one revision, or again if that is compacted meanwhile', async () => {
    const { address } = await started();
    const client = connected({ endpoints: [address] });
    const other = connected({ endpoints: [address] });
    for (let i = 0; i < 10; i++)
      await client.commit({ puts: Array.from({ length: 100 }, (_, j) => put(`k${i}${j + 100}`)) });
    let revision = 0;
    let writing = true;
    const compacting = (async () => {
      for (let i = 0; writing; i++) {
        revision = (await other.commit({ puts: [put(`k${i % 10}150`, `${i}`)] })) as number;
        await other.compact(revision);
      }
    })();
    for (let i = 0; i < 10; i++) {
      const listing = await client.list('k').catch((error) => error);
      if (listing instanceof Error) expect(listing).toMatchObject({ code: 'UNAVAILABLE' });
      else expect(listing.entries).toHaveLength(1000);
    }
    writing = false;
    await compacting;
    expect((await client.list('')).revision).toBeGreaterThanOrEqual(revision);
  });

  test('reads an empty prefix as everything, in both directions', async () => {
    const { address } = await started();
    const client = connected({ endpoints: [address] });
    const all = Array.from({ length: 100 }, (_, i) => `k${i + 100}`);
    await client.commit({ puts: all.map((key) => put(key)) });
    const keys = async (options: object) =>
      (await client.list('', options)).entries.map(({ key }) => key);
    expect(await keys({})).toEqual(all);
    expect(await keys({ reverse: true })).toEqual([...all].reverse());
    expect(await keys({ reverse: true, after: 'k102' })).toEqual(['k101', 'k100']);
  });
});
