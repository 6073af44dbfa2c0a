import { type RunOptions, type RunResult, run } from './run.js';

/** Debian's own interpreter: the `python3` of the PATH may be a build without Debian's modules. */
export const PYTHON = '/usr/bin/python3';
export const PHP = 'php8.2';

/** Runs Debian's python3, e.g. `python(['push.py', port])` or `python(['-c', code])`. */
export function python(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  return run(PYTHON, args, options);
}

/** Runs Debian's php on the command line, e.g. `php(['push.php', port])` or `php(['-r', code])`. */
export function php(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  return run(PHP, args, options);
}
