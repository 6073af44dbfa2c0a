/** Valid documents that use every key now and then, in every spelling. */
export function randomDocuments(random: () => number, hashes: readonly string[]): object {
  const pick = <const T extends readonly unknown[]>(...choices: T): T[number] =>
    choices[Math.floor(random() * choices.length)] as T[number];
  const maybe = <T>(value: T): T | undefined => (random() < 0.5 ? value : undefined);
  const present = (fields: object): object =>
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const some = <T>(names: readonly string[], make: () => T): Record<string, T> =>
    Object.fromEntries(names.filter(() => random() < 0.7).map((name) => [name, make()]));
  const password = (): string => pick(...hashes);

  const retry = (): object =>
    present({
      attempts: maybe(pick(1, 3, '1_000')),
      jitter: maybe(pick(0, 0.5, '1')),
      age: maybe('2d'),
      crashes: maybe(2),
      replays: maybe(4),
      ...pick(
        { ladder: ['1s', '5m'] },
        { backoff: 'fixed', min: '250ms' },
        { backoff: 'exponential', min: '2s', max: '3h' },
        {},
      ),
    });
  const http = (): object =>
    present({
      url: 'https://sms.internal/jobs?a=b',
      headers: maybe(some(['authorization', 'password', 'x.y'], () => pick('Bearer x', 'a "b"'))),
      format: maybe(pick('raw', 'pepperbus')),
      connections: maybe(40),
      connect_timeout: maybe('1s'),
      response_bytes: maybe('64KiB'),
      ping: maybe(pick(true, false)),
    });
  const fastcgi = (): object =>
    present({
      address: pick('unix:/run/fpm', '127.0.0.1:9000'),
      script: '/srv/x.php',
      connections: maybe(40),
      idle_timeout: maybe('5s'),
      requests_per_connection: maybe(9),
    });
  const command = (): unknown =>
    pick(
      ['php', '/srv/x.php', ''],
      present({
        ...pick({ shell: 'date; exit 3' }, { argv: ['date'] }),
        tag: maybe('batch'),
        on: maybe(pick('any', 'web-1')),
        env: maybe(some(['MODE', 'password', 'A_1'], () => pick('fast', '', 'a "b"'))),
        directory: maybe('/srv'),
        user: maybe(pick('www-data', 33)),
        grace: maybe('3s'),
        output: maybe('8KiB'),
        done_codes: maybe([3, 4]),
        dead_codes: maybe(pick(65, [65])),
        file: maybe(present({ path: '/var/log/x', size: maybe('1MiB'), files: maybe(0) })),
      }),
    );
  const rabbitmq = (): object =>
    present({
      url: pick('amqp://rabbit', 'amqps://rabbit:5671/shop'),
      user: 'bus',
      password: pick('carrot', 'a "b"'),
      ...pick({}, { exchange: 'told', type: pick('topic', 'headers'), declare: true }),
      key: maybe('of.{queue}.{header.x}'),
      unroutable: maybe('done'),
    });
  const topic = (): object =>
    present({
      target: pick(
        'grpc',
        'pull',
        'http://x/y',
        'fastcgi://unix:/run/php.sock/srv/x.php',
        { http: http() },
        { fastcgi: fastcgi() },
        { command: command() },
        { rabbitmq: rabbitmq() },
        { pull: {} },
      ),
      concurrency: maybe(pick(1, 8, '16')),
      timeout: maybe(pick('30s', '1m')),
      delay: maybe('10s'),
      start: maybe(pick('now', 'beginning')),
      paused: maybe(pick(true, false)),
      rate: maybe(pick('200/s', '1_000/h', { limit: 3, per: '2s', burst: 2 })),
      key: maybe(pick('$.user_id', 'header:X-User', { order: 'strict' }, { concurrency: '3' })),
      password: maybe(password()),
      retry: maybe(retry()),
    });
  const queue = (): object =>
    present({
      system: maybe('shop'),
      password: maybe(password()),
      retention: maybe('7d'),
      limits: maybe(present({ body: maybe('2MiB'), ready: maybe('5_000') })),
      topics: some(['ship', 'target', 'a.b', 'password', 'rabbitmq'], topic),
    });
  return {
    systems: { shop: maybe({ owner: 'team' }) ?? null },
    queues: some(['paid', 'sent', 'document', '1'], queue),
  };
}
