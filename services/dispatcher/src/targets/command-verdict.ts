import { describeEnding, type Ending, isCrash } from '@malabar/command';
import type { keeper } from '@malabar/contracts';
import type { Stop } from '../runs/run.js';
import { crash, dead, done, notDelivered, retry, type Verdict } from '../verdict.js';

export interface Judged {
  ending: Ending;
  /** Its output as it fits into an error. */
  words: string;
  /** Its output as its target keeps it. */
  output: string;
  /** Why it was ended, if somebody did. */
  stop: Stop | undefined;
}

/** What became of a run: the one place where exit codes are read. docs/commands.md has the table. */
export function judgeRun(judged: Judged, target: keeper.CommandTarget): Verdict {
  const { ending, words, output, stop } = judged;
  const told = [describeEnding(ending), words].filter(Boolean).join(': ');
  switch (ending.kind) {
    case 'exited':
      return { ...byCode(ending, told, target), output, exitCode: ending.code };
    case 'died':
      return { ...crash(ending.signal, told), output };
    case 'timeout':
      return { ...retry('TIMEOUT', told), output };
    case 'killed':
      if (stop?.by === 'bus') return notDelivered(stop.reason);
      return { ...dead('KILLED', told), output };
    case 'not-started':
      return { ...retry('NOT_STARTED', told), blocks: true };
  }
}

function byCode(
  ending: Ending & { kind: 'exited' },
  told: string,
  { doneCodes, deadCodes }: keeper.CommandTarget,
): Verdict {
  const { code } = ending;
  if (code === 0 || doneCodes.includes(code)) return done;
  if (deadCodes.includes(code)) return dead(`EXIT_${code}`, told);
  if (isCrash(ending)) return crash(`EXIT_${code}`, told);
  return retry(`EXIT_${code}`, told);
}
