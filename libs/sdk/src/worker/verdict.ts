import { common } from '@malabar/contracts';
import { RetryException, TaskException, UnknownTaskException } from '../exceptions.js';

const { DONE, RETRY, DEAD, RELEASE } = common.OutcomeKind;

const ERROR_CHARS_MAX = 8_192;
const CODE_CHARS_MAX = 128;
const TRACE_LINES_MAX = 8;
/** From here on down the stack is ours. */
const OWN_FRAME = 'callHandler';

/** What became of a job, as the bus hears it and as its attempt history shows it. */
export interface Verdict {
  readonly kind: common.OutcomeKind;
  readonly errorCode: string;
  readonly error: string;
  readonly retryAfterMs: number;
}

export const DONE_VERDICT: Verdict = { kind: DONE, errorCode: '', error: '', retryAfterMs: 0 };

/** Untouched, or cut short by us: burns no attempt. */
export const RELEASE_VERDICT: Verdict = { ...DONE_VERDICT, kind: RELEASE };

/** A failure that another attempt may mend. */
export function retryVerdict(errorCode: string, error: string): Verdict {
  return { kind: RETRY, errorCode, error: clip(error, ERROR_CHARS_MAX), retryAfterMs: 0 };
}

/** What a handler threw, judged. */
export function judge(thrown: unknown, attempt: number): Verdict {
  const said = `${nameOf(thrown)}: ${messageOf(thrown)} (attempt ${attempt})`;
  if (thrown instanceof UnknownTaskException) return retryVerdict('UNKNOWN_TASK', said);
  const verdict = retryVerdict(codeOf(thrown), said);
  if (thrown instanceof TaskException) return { ...verdict, kind: DEAD };
  if (thrown instanceof RetryException) return { ...verdict, retryAfterMs: thrown.afterMs };
  return { ...verdict, error: clip([said, ...whence(thrown)].join('\n'), ERROR_CHARS_MAX) };
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : typeof thrown;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function codeOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown };
  const isCode = (typeof code === 'string' && code !== '') || typeof code === 'number';
  return clip(isCode ? String(code) : nameOf(thrown), CODE_CHARS_MAX);
}

/** What nobody foresaw needs its place, too: the calls between it and us. */
function whence(thrown: unknown): string[] {
  if (!(thrown instanceof Error) || typeof thrown.stack !== 'string') return [];
  const lines = thrown.stack.split('\n').filter((line) => /^\s+at /.test(line));
  const own = lines.findIndex((line) => line.includes(OWN_FRAME));
  const theirs = own < 0 ? lines : lines.slice(0, own);
  return theirs.slice(0, TRACE_LINES_MAX).map((line) => line.trim());
}

/** Never half of a surrogate pair. */
function clip(text: string, most: number): string {
  return text.length <= most ? text : text.slice(0, most).replace(/[\uD800-\uDBFF]$/, '');
}
