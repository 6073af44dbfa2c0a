import { type RunResult, run } from '@malabar/testkit';
import type { Bus } from './bus.js';
import { MALABAR } from './bus.js';

/** The `malabar` command as a person uses it on a running bus. */
export interface CommandLine {
  /** Runs it to its end, whatever that is. */
  run(...args: string[]): Promise<RunResult>;
  /** Runs it; what it printed. Throws unless it ends with 0. */
  ok(...args: string[]): Promise<string>;
  /** The same with --json, parsed. */
  json<T>(...args: string[]): Promise<T>;
  /** The command of a user who shows this token. */
  as(token: string): CommandLine;
}

/** Runs `malabar` in the folder of the bus, against it. */
export function commandLine(bus: Bus, env: Record<string, string> = {}): CommandLine {
  const address = `127.0.0.1:${bus.ports.grpc[bus.parts.includes('keeper') ? 'keeper' : 'all']}`;
  const options = { cwd: bus.dir, env: { MALABAR_ADDRESS: address, ...env }, timeoutMs: 60_000 };
  const start = (...args: string[]) => run(process.execPath, [MALABAR, ...args], options);
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await start(...args);
    if (code !== 0) throw new Error(`malabar ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout.trimEnd();
  };
  return {
    run: start,
    ok,
    json: async (...args) => JSON.parse(await ok(...args, '--json')),
    as: (token) => commandLine(bus, { MALABAR_TOKEN: token }),
  };
}
