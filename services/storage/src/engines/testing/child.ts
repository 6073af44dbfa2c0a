import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildOptions {
  env?: Record<string, string>;
  /** Modules that node loads before the script. */
  imports?: string[];
  /** Starts the process through this command instead: it gets node's path and arguments. */
  through?: string[];
}

/** Path of a file of this folder. */
export const besideTests = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs a script of this folder, from its source, in a process of its own. */
export function startChild(
  script: string,
  args: string[],
  { env, imports = [], through = [] }: ChildOptions = {},
): ChildProcess {
  const node = [process.execPath, '--conditions=source', '--import', 'tsx'];
  for (const module of imports) node.push('--import', besideTests(module));
  const [command = '', ...rest] = [...through, ...node, besideTests(script), ...args];
  return spawn(command, rest, {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

export interface ChildEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Waits for the end; `onOutput` sees all that has been printed so far, whenever there is more. */
export function childEnd(
  child: ChildProcess,
  onOutput: (stdout: string) => void = () => {},
): Promise<ChildEnd> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      if (name === 'stdout') onOutput(output.stdout);
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...output }));
  });
}
