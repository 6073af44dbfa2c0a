import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '@malabar/core';

/** As much of what the command printed as a refusal shows. */
const OUTPUT_CHARS_MAX = 500;
/** What a command prints last may come after its end; a daemon that it leaves never closes its output. */
const LAST_WORDS_MS = 200;

/** A command to run when a file has changed. */
export interface Reload {
  /** Program and arguments; no shell reads them. */
  argv: readonly [program: string, ...rest: string[]];
  timeoutMs: number;
}

/** Runs the command. Throws an Error that says why it failed, with the end of what it printed. */
export async function runReload({ argv, timeoutMs }: Reload, clock: Clock): Promise<void> {
  const [program, ...rest] = argv;
  // In a process group of its own, so that a timeout ends what it has started too.
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const output = tailOf(child);
  let late = '';
  const cancel = clock.after(timeoutMs, () => {
    late = `took longer than ${timeoutMs} ms`;
    killGroup(child);
  });
  const fault = await faultOf(child, clock);
  cancel();
  const reason = late || fault;
  if (reason === '') return;
  throw new Error(['reload', argv.join(' '), reason, output()].filter(Boolean).join(': '));
}

/** Why it failed, when it has ended; empty if it did not. */
function faultOf(child: ChildProcess, clock: Clock): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`did not start: ${error.message}`));
    child.once('exit', (code, signal) => {
      const settle = (): void => {
        cancel();
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve(code === 0 ? '' : `ended with ${code ?? signal}`);
      };
      const cancel = clock.after(LAST_WORDS_MS, settle);
      child.once('close', settle);
    });
  });
}

function tailOf(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-OUTPUT_CHARS_MAX);
    });
  }
  return () => text.trim();
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
