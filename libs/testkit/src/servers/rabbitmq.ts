import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { RABBITMQ } from '../packages.js';
import { run } from '../run.js';
import { type Server, spawnServer } from '../server.js';
import { freePort, tempDir } from '../workspace.js';

const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';
const NODE = 'test@localhost';
/** What a client says first, and what a server answers with first: a method frame of channel 0. */
const GREETING = 'AMQP\u0000\u0000\u0009\u0001';
const METHOD_FRAME = 1;

export interface RabbitmqOptions {
  /** To start again on the data of an earlier one: that one itself. */
  after?: Pick<RabbitmqServer, 'dir' | 'port'>;
  /** Default `bus` with the password `carrot`; may do everything in the vhost `/`. */
  user?: string;
  password?: string;
  /** Further lines of rabbitmq.conf. */
  settings?: readonly string[];
}

export interface RabbitmqServer extends Server {
  host: string;
  port: number;
  /** `amqp://127.0.0.1:port`, without user and password. */
  url: string;
  user: string;
  password: string;
  dir: string;
  /** Where its Erlang node is registered. */
  epmdPort: number;
  /** Runs rabbitmqctl, which takes seconds; what it printed. Throws unless it ends with 0. */
  control(...args: string[]): Promise<string>;
}

/**
 * A real RabbitMQ node on 127.0.0.1, with its files, its Erlang cookie and its epmd all its own, so that it
 * works as root too and leaves nothing behind. `kill('SIGKILL')` reaches the broker itself; durable queues
 * and persistent messages are there again in one that is started `after` it. Debian package rabbitmq-server.
 */
export async function rabbitmqServer(options: RabbitmqOptions = {}): Promise<RabbitmqServer> {
  const { user = 'bus', password = 'carrot', settings = [] } = options;
  const dir = options.after?.dir ?? tempDir('rabbitmq');
  const port = options.after?.port ?? (await freePort());
  const epmd = await startEpmd(dir);
  writeConfiguration(dir, [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    `default_user = ${user}`,
    `default_pass = ${password}`,
    // The machine's disk is none of its business.
    'disk_free_limit.absolute = 1MB',
    ...settings,
  ]);
  const env = await environment(dir, epmd.port);
  const server = await spawnServer({
    command: RABBITMQ,
    env,
    cwd: dir,
    ready: () => greets(port),
    readyTimeoutMs: 60_000,
    stopGraceMs: 15_000,
  }).catch(async (error) => {
    await epmd.stop();
    throw error;
  });
  const exited = server.exited.finally(() => epmd.stop());
  return {
    ...server,
    exited,
    host: '127.0.0.1',
    port,
    url: `amqp://127.0.0.1:${port}`,
    user,
    password,
    dir,
    epmdPort: epmd.port,
    async control(...args) {
      const { code, stdout, stderr } = await run(CONTROL, ['-n', NODE, ...args], { env });
      if (code !== 0) throw new Error(`rabbitmqctl ${args.join(' ')}: ${stderr || stdout}`);
      return stdout;
    },
    async stop() {
      await server.stop();
      await exited;
    },
  };
}

/** The name server of Erlang nodes, for one node: it would outlive one that had started it. */
async function startEpmd(dir: string): Promise<Server & { port: number }> {
  const port = await freePort();
  const server = await spawnServer({
    command: 'epmd',
    args: ['-port', `${port}`, '-address', '127.0.0.1'],
    cwd: dir,
    ready: () => isOpen(port),
  });
  return { ...server, port };
}

function writeConfiguration(dir: string, lines: readonly string[]): void {
  mkdirSync(join(dir, 'mnesia'), { recursive: true });
  writeFileSync(join(dir, 'rabbitmq.conf'), `${lines.join('\n')}\n`);
  writeFileSync(join(dir, 'enabled_plugins'), '[].\n');
  writeFileSync(join(dir, 'rabbitmq-env.conf'), '');
}

async function environment(dir: string, epmdPort: number): Promise<Record<string, string>> {
  return {
    HOME: dir,
    ERL_EPMD_PORT: `${epmdPort}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: NODE,
    RABBITMQ_DIST_PORT: `${await freePort()}`,
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: dir,
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: join(dir, 'rabbitmq-env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
    // The script becomes the broker instead of waiting for it, so that a signal reaches the broker.
    RABBITMQ_ALLOW_INPUT: 'true',
    // Few threads, which sleep when they have nothing to do: a test is not alone on its machine.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-noinput +S 1:1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none',
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', reject);
  });
}

/** The port is open before the broker takes clients. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(GREETING));
    socket.once('error', reject);
    socket.once('close', () => resolve(false));
    socket.once('data', (frame) => {
      resolve(frame[0] === METHOD_FRAME);
      socket.destroy();
    });
  });
}
