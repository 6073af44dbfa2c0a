import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Clock, sleep } from '@malabar/core';
import { tryConnect } from '../doctor/targets.js';
import { CommandError, EXIT } from '../exit.js';

/** A php-fpm of our own, on a unix socket. */
export interface PhpFpm {
  /** `unix:/path` of its socket. */
  address: string;
  stop(): Promise<void>;
}

const START_MS = 5_000;
const CHILDREN = 4;

/** The first php-fpm of PATH and /usr/sbin; Debian's carry their version in the name. */
function findPhpFpm(path: string | undefined): string | undefined {
  const dirs = [...(path ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const dir of dirs.filter(Boolean)) {
    for (const name of candidates(dir)) {
      const file = join(dir, name);
      if (isExecutable(file)) return file;
    }
  }
  return undefined;
}

function candidates(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => /^php-fpm[0-9.]*$/.test(name))
      .sort()
      .reverse();
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts php-fpm with a pool in `dir`; `onLine` gets what it and its scripts write to stderr. */
export async function startPhpFpm(
  dir: string,
  env: NodeJS.ProcessEnv,
  clock: Clock,
  onLine: (line: string) => void,
): Promise<PhpFpm> {
  const program = findPhpFpm(env.PATH);
  if (!program) {
    throw new CommandError(
      EXIT.failure,
      'php-fpm is not installed',
      'get it with `apt-get install php-fpm` (Debian, Ubuntu), `dnf install php-fpm` (Fedora) or `brew install php` (macOS); `make run` needs none',
    );
  }
  mkdirSync(dir, { recursive: true });
  const socket = join(dir, 'php-fpm.sock');
  const config = join(dir, 'php-fpm.conf');
  rmSync(socket, { force: true });
  const root = process.getuid?.() === 0;
  writeFileSync(config, poolConfig(dir, socket, root));
  const args = [
    '--nodaemonize',
    '--force-stderr',
    '--fpm-config',
    config,
    ...(root ? ['--allow-to-run-as-root'] : []),
  ];
  // Its own group: the Ctrl-C that drains the bus must not end the consumer first.
  const child = spawn(program, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  // A second Ctrl-C ends us at once, and must not leave it behind.
  const end = (): void => void child.kill('SIGTERM');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (lines.length < 20) lines.push(line);
    if (!/^\[.*\] (NOTICE|WARNING)/.test(line)) onLine(line);
  });
  await untilListening(child, `unix:${socket}`, clock, lines);
  return { address: `unix:${socket}`, stop: () => stopPhpFpm(child) };
}

function poolConfig(dir: string, socket: string, root: boolean): string {
  return `; Written by \`malabar demo --php\`.
[global]
error_log = ${join(dir, 'php-fpm.log')}

[demo]
listen = ${socket}
${root ? 'user = root\ngroup = root\n' : ''}pm = static
; More than the connections that the bus holds: a keep-alive connection pins a child.
pm.max_children = ${CHILDREN}
; What a script writes to php://stderr comes out here, as it is.
catch_workers_output = yes
decorate_workers_output = no
`;
}

async function untilListening(
  child: ChildProcess,
  address: string,
  clock: Clock,
  lines: string[],
): Promise<void> {
  const endMs = clock.now() + START_MS;
  while ((await tryConnect(address)) !== undefined) {
    if (child.exitCode !== null || clock.now() > endMs) {
      child.kill('SIGKILL');
      throw new CommandError(EXIT.failure, `php-fpm does not start: ${lines.join(' ')}`);
    }
    await sleep(clock, 50);
  }
}

async function stopPhpFpm(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGQUIT');
  await gone;
}
