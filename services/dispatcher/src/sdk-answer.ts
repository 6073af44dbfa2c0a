import {
  clip,
  crash,
  dead,
  done,
  ERROR_BYTES_MAX,
  notDelivered,
  retry,
  retryAfterMs,
  type Verdict,
} from './verdict.js';

/** What came back from a consumer of the form. */
export interface SdkAnswer {
  /** HTTP status; php-fpm says 200 unless the script or a fatal error says otherwise. */
  status: number;
  /** Value of a header; the name in lower case. */
  header(name: string): string | undefined;
  body: string;
  /** FastCGI's STDERR: PHP's warnings and errors. */
  stderr: string;
}

/** php-fpm's words on STDERR when a script ended by an error. */
const DIED = /PHP (?:Fatal|Parse|Compile|Core) error:/;
/** An end by the engine itself (out of memory, out of time): no exception that nobody caught. */
const CRASHED = /PHP (?:Fatal|Compile|Core) error:(?!\s*Uncaught)/;

/**
 * Judges by the headers `Malabar-Outcome` (done, retry, dead, crash, release) or `Code` (200 is yes). No
 * answer is a failure, and so is a yes that a fatal error followed: a script that dies after it sent
 * `Code: 200` has not done its work.
 */
export function judge(answer: SdkAnswer, nowMs: number): Verdict {
  const outcome = answer.header('malabar-outcome')?.trim().toLowerCase();
  const code = answer.header('code')?.trim();
  if (CRASHED.test(answer.stderr)) return crash('FATAL', words(answer));
  if (outcome !== undefined) return byOutcome(outcome, answer, nowMs);
  if (code === undefined) return noCode(answer);
  if (code === '200') return yes(answer);
  const pause = retryAfterMs(answer.header('retry-after'), nowMs);
  const verdict = retry(errorCode(answer, code), words(answer), pause);
  if (code === '404') verdict.unknownTopic = true;
  return verdict;
}

/** Why an answer to a ping does not name the topic; '' if it does. */
export function judgePing(answer: SdkAnswer, path: string): string {
  const code = answer.header('code')?.trim();
  if (code === undefined)
    return `ping: no Code header (HTTP status ${answer.status}): ${hint(answer)}`;
  if (code !== '200') return `ping: Code ${code}: ${hint(answer)}`;
  const topics = `${answer.header('consume-topics') ?? ''},${answer.body}`.split(',');
  if (topics.some((topic) => topic.trim() === path)) return '';
  return `ping: the consumer does not serve ${path}; it names: ${hint(answer) || 'nothing'}`;
}

function byOutcome(outcome: string, answer: SdkAnswer, nowMs: number): Verdict {
  const pause = retryAfterMs(answer.header('retry-after'), nowMs);
  const code = errorCode(answer, String(answer.status));
  if (outcome === 'done') return yes(answer);
  if (outcome === 'retry') return retry(code, words(answer), pause);
  if (outcome === 'dead') return dead(code, words(answer));
  if (outcome === 'crash') return crash(code, words(answer));
  if (outcome === 'release')
    return notDelivered(`the consumer put it back: ${hint(answer)}`, pause);
  return retry('BAD_ANSWER', `unknown Malabar-Outcome '${clip(outcome, 64)}'\n${words(answer)}`);
}

function yes(answer: SdkAnswer): Verdict {
  if (answer.status < 500 && !DIED.test(answer.stderr)) return done;
  const why = `the script said yes and died after it (HTTP status ${answer.status})`;
  return retry('DIED', `${why}\n${words(answer)}`);
}

function noCode(answer: SdkAnswer): Verdict {
  return retry('NO_CODE', `no Code header (HTTP status ${answer.status})\n${words(answer)}`);
}

/** The consumer's own code if it has one: SDKs say `Error-Code: 0` when they have none. */
function errorCode(answer: SdkAnswer, otherwise: string): string {
  const own = answer.header('error-code')?.trim();
  return clip(own === undefined || own === '' || own === '0' ? otherwise : own, 128);
}

/** Body and STDERR; each gets half of the space if both are long. */
function words({ body, stderr }: SdkAnswer): string {
  if (stderr === '') return clip(body);
  if (body === '') return clip(stderr);
  const half = ERROR_BYTES_MAX / 2;
  return `${clip(body, half)}\n${clip(stderr, half - 1)}`;
}

function hint(answer: SdkAnswer): string {
  return clip(words(answer).trim(), 256);
}
