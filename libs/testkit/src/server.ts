import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { searchPath } from './packages.js';

const LOG_CHARS_MAX = 256 * 1024;
const SETPRIV = '/usr/bin/setpriv';

export interface ServerOptions {
  command: string;
  args?: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
  /** Throws, rejects or returns `false` until the server answers. */
  ready: (server: Server) => unknown;
  /** Default 20 s. */
  readyTimeoutMs?: number;
  /** How long `stop` waits between SIGTERM and SIGKILL; default 5 s. */
  stopGraceMs?: number;
}

/** A real server process, with its children in a process group of its own. */
export interface Server {
  pid: number;
  /** What it printed, stdout and stderr together. */
  log(): string;
  /** Resolves when the process is gone. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Sends a signal to the process alone; to one that is gone, does nothing. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, after a grace SIGKILL for the process and its children. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a server and waits until `ready`. A server that ends or stays silent rejects with its
 * output. It never outlives the worker: `stop` it, else the worker's exit does.
 */
export async function spawnServer(options: ServerOptions): Promise<Server> {
  const child = launch(options);
  const server = handle(child, options.stopGraceMs ?? 5000);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  try {
    await answers(server, options);
    return server;
  } catch (error) {
    await server.stop();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${options.command} did not start: ${reason}\n${server.log()}`);
  }
}

function launch({ command, args = [], env, cwd }: ServerOptions): ChildProcess {
  const [guard, ...rest] = guarded(command, args);
  return spawn(guard, rest, {
    cwd,
    env: { ...process.env, PATH: searchPath(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

/** The command line which the kernel ends when the thread that started it is gone, however that came. */
export function guarded(command: string, args: readonly string[]): [string, ...string[]] {
  if (!existsSync(SETPRIV)) return [command, ...args];
  return [SETPRIV, '--pdeathsig', 'TERM', '--', command, ...args];
}

function handle(child: ChildProcess, stopGraceMs: number): Server {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-LOG_CHARS_MAX);
    });
  }
  const pid = child.pid ?? 0;
  const killAll = () => signalGroup(pid);
  const exited: Server['exited'] = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  return {
    pid,
    exited,
    log: () => output,
    kill: (signal) => void child.kill(signal),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const timer = setTimeout(killAll, stopGraceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function signalGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

async function answers(server: Server, options: ServerOptions): Promise<void> {
  const deadline = performance.now() + (options.readyTimeoutMs ?? 20_000);
  const ended = server.exited.then(({ code, signal }) => ({
    ended: `it ended with ${code ?? signal}`,
  }));
  for (;;) {
    const state = await Promise.race([ended, attempt(server, options)]);
    if (state === 'ready') return;
    if ('ended' in state) throw new Error(state.ended);
    if (performance.now() > deadline) throw new Error(`not ready: ${state.reason}`);
    await pause(20);
  }
}

async function attempt(
  server: Server,
  { ready }: ServerOptions,
): Promise<'ready' | { reason: string }> {
  try {
    return (await ready(server)) === false ? { reason: 'no answer' } : 'ready';
  } catch (error) {
    return { reason: String(error) };
  }
}
