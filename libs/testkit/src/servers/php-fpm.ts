import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../eventually.js';
import { type Server, spawnServer } from '../server.js';
import { freePort, tempDir } from '../workspace.js';

const READY = /ready to handle connections/g;

export interface PhpFpmOptions {
  /** pm.max_children, static; default 2. */
  children?: number;
  /** Default `unix`. */
  listen?: 'unix' | 'tcp';
  /** listen.backlog. */
  backlog?: number;
  /** php.ini settings, e.g. `{ memory_limit: '16M' }`; they beat the machine's php.ini. */
  phpIni?: Record<string, string>;
  /** pm.max_requests: a child ends after so many; default never. */
  maxRequests?: number;
  /** In seconds: php-fpm kills the child of a longer request. */
  requestTerminateTimeout?: number;
  /** pm.status_path; default `/status`. */
  statusPath?: string;
  /** Working folder of the children. */
  docroot?: string;
}

export interface PhpFpm extends Server {
  /** `unix:/path` or `host:port`, as @malabar/fastcgi takes it. */
  address: string;
  /** The folder of socket, configuration and log; a place for scripts too. */
  dir: string;
  /** Process ids of the children that live now. */
  children(): number[];
  /** SIGUSR2: new children; running requests are cut. Resolves when it serves again. */
  reload(): Promise<void>;
}

/**
 * A real php-fpm with one static pool. Warnings and error_log() go to the FastCGI client as
 * STDERR, nothing is displayed. As root its children run as root: the scripts are the test's own.
 * Debian package php8.2-fpm.
 */
export async function phpFpm(options: PhpFpmOptions = {}): Promise<PhpFpm> {
  const dir = tempDir('php-fpm');
  const logFile = join(dir, 'fpm.log');
  const configFile = join(dir, 'fpm.conf');
  const tcp = options.listen === 'tcp';
  const listen = tcp ? `127.0.0.1:${await freePort()}` : join(dir, 'fpm.sock');
  writeFileSync(configFile, configuration(options, { listen, logFile, dir }));
  const readLog = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '');
  const starts = () => readLog().match(READY)?.length ?? 0;
  const server = await spawnServer({
    command: 'php-fpm8.2',
    args: ['--nodaemonize', '--allow-to-run-as-root', '--fpm-config', configFile],
    ready: () => starts() > 0,
  }).catch((error: Error) => {
    throw new Error(`${error.message}\n${readLog()}`);
  });
  return {
    ...server,
    address: tcp ? listen : `unix:${listen}`,
    dir,
    log: () => server.log() + readLog(),
    children: () => childrenOf(server.pid),
    async reload() {
      const before = starts();
      server.kill('SIGUSR2');
      await eventually(() => starts() > before);
    },
  };
}

interface Paths {
  listen: string;
  logFile: string;
  dir: string;
}

function configuration(options: PhpFpmOptions, { listen, logFile, dir }: Paths): string {
  const root = process.getuid?.() === 0;
  const ini = {
    display_errors: 'off',
    log_errors: 'on',
    html_errors: 'off',
    error_reporting: '32767',
    // Scripts that a test rewrites count at once.
    'opcache.revalidate_freq': '0',
    ...options.phpIni,
  };
  const lines = [
    '[global]',
    `error_log = ${logFile}`,
    'daemonize = no',
    '[www]',
    ...(root ? ['user = root', 'group = root'] : []),
    `listen = ${listen}`,
    'pm = static',
    `pm.max_children = ${options.children ?? 2}`,
    `pm.max_requests = ${options.maxRequests ?? 0}`,
    `pm.status_path = ${options.statusPath ?? '/status'}`,
    `request_terminate_timeout = ${options.requestTerminateTimeout ?? 0}`,
    `chdir = ${options.docroot ?? dir}`,
    ...(options.backlog === undefined ? [] : [`listen.backlog = ${options.backlog}`]),
    ...Object.entries(ini).map(([key, value]) => `php_admin_value[${key}] = ${value}`),
  ];
  return `${lines.join('\n')}\n`;
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
