import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Written to stdin, which is then closed. */
  input?: string | Uint8Array;
  /** Default 30 s; then the command is killed and the call rejects with what it printed. */
  timeoutMs?: number;
  env?: Record<string, string>;
  cwd?: string;
}

export interface RunResult {
  /** `null` when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. A code other than 0 is an answer; not starting and timing out reject. */
export function run(
  command: string,
  args: readonly string[] = [],
  { input, timeoutMs = 30_000, env, cwd }: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
    const output = { stdout: '', stderr: '' };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      const line = [command, ...args].join(' ');
      reject(new Error(`${line}: no end after ${timeoutMs} ms\n${output.stdout}${output.stderr}`));
    }, timeoutMs);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, ...output });
    });
    // A command may end without reading its input.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
