/** How a command ended. */
export type Ending =
  | { kind: 'exited'; code: number }
  /** By a signal that we did not send, e.g. SIGSEGV, or SIGKILL of the kernel's out-of-memory killer. */
  | { kind: 'died'; signal: NodeJS.Signals }
  /** By us, at its time limit. */
  | { kind: 'timeout'; timeoutMs: number }
  /** By us, because somebody asked for it. */
  | { kind: 'killed'; reason: string }
  /** It never ran. */
  | { kind: 'not-started'; reason: string };

/** What the shell reports of a process that a signal ended: 128 and its number. */
const BY_SIGNAL = 128;

/** What exit codes mean by custom. */
const CODES: Record<number, string> = {
  75: '(temporary failure)',
  126: '(a shell could not execute its command)',
  127: '(a shell did not find its command)',
  137: '(killed, perhaps out of memory)',
};

/** An ending in a few words for people. */
export function describeEnding(ending: Ending): string {
  switch (ending.kind) {
    case 'exited':
      return [`exit code ${ending.code}`, CODES[ending.code]].filter(Boolean).join(' ');
    case 'died':
      return `ended by ${ending.signal}`;
    case 'timeout':
      return `stopped at its limit of ${ending.timeoutMs} ms`;
    case 'killed':
      return `killed: ${ending.reason}`;
    case 'not-started':
      return `not started: ${ending.reason}`;
  }
}

/** Whether a program died rather than answered: by a signal, or a shell says so of its child. */
export function isCrash(ending: Ending): boolean {
  return ending.kind === 'died' || (ending.kind === 'exited' && ending.code > BY_SIGNAL);
}
