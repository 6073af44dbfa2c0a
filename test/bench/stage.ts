import { fileURLToPath } from 'node:url';
import {
  type Beanstalkd,
  beanstalkd,
  type PhpFpm,
  phpFpm,
  type RedisServer,
  redisServer,
} from '@malabar/testkit';
import { type Bus, startBus } from '../harness/bus.js';

export const PHP = fileURLToPath(new URL('./php', import.meta.url));

/** The servers of a benchmark run: started when first asked for, stopped together. */
export class Stage {
  readonly #started = new Map<string, Promise<{ stop(): Promise<void> }>>();

  bus(mode: 'one-process' | 'many-processes' = 'one-process'): Promise<Bus> {
    return this.#once(`bus ${mode}`, async () =>
      startBus({
        mode,
        documents: documents((await this.phpFpm()).address),
        settings: ['log.level=warn'],
      }),
    );
  }

  redis(appendfsync: 'always' | 'everysec'): Promise<RedisServer> {
    return this.#once(`redis ${appendfsync}`, () => redisServer({ appendonly: true, appendfsync }));
  }

  beanstalkd(): Promise<Beanstalkd> {
    return this.#once('beanstalkd', () => beanstalkd({ fsyncMs: 0 }));
  }

  phpFpm(): Promise<PhpFpm> {
    return this.#once('php-fpm', () => phpFpm({ children: 8, listen: 'unix', docroot: PHP }));
  }

  async stop(): Promise<void> {
    for (const server of [...this.#started.values()].reverse()) await (await server).stop();
  }

  #once<T extends { stop(): Promise<void> }>(name: string, start: () => Promise<T>): Promise<T> {
    const known = this.#started.get(name) as Promise<T> | undefined;
    const started = known ?? start();
    this.#started.set(name, started);
    return started;
  }
}

const documents = (php: string): string => `
queues:
  accept:
    retention: 0s
    limits: { ready: 0 }
    topics:
      waiting: { target: pull }
  work:
    retention: 0s
    limits: { ready: 0 }
    topics:
      worker: { target: grpc, concurrency: 1000 }
  php_single:
    retention: 0s
    limits: { ready: 0 }
    topics:
      php: { ${fastcgi(php)}, concurrency: 4 }
  php_chunk:
    retention: 0s
    limits: { ready: 0 }
    topics:
      php: { ${fastcgi(php)}, concurrency: 4, chunk: 20 }
`;

const fastcgi = (address: string): string =>
  `target: { fastcgi: { address: '${address}', script: '${PHP}/consume.php', connections: 4 } }`;
