import { common } from '@malabar/contracts';

/** The most of a consumer's words that an attempt keeps. */
export const ERROR_BYTES_MAX = 16 * 1024;
/** A consumer may not put a job off for longer by Retry-After. */
const RETRY_AFTER_MS_MAX = 30 * 86_400_000;

/** What became of one request. All its jobs share it. */
export interface Verdict {
  kind: common.OutcomeKind;
  /** 0 lets the retry policy decide. */
  retryAfterMs: number;
  errorCode: string;
  error: string;
  /** The consumer does not know the topic: ask it (ping) before the next job. */
  unknownTopic?: boolean;
  /** The fault is the target's, not the job's: the topic backs off here before it tries the next. */
  blocks?: boolean;
  /** What a command has printed and with which code it ended. */
  output?: string;
  exitCode?: number;
}

const { CRASH, DEAD, DONE, RELEASE, RETRY } = common.OutcomeKind;

export const done: Verdict = { kind: DONE, retryAfterMs: 0, errorCode: '', error: '' };

/** The consumer ran and failed. */
export function retry(errorCode: string, error: string, retryAfterMs = 0): Verdict {
  return { kind: RETRY, retryAfterMs, errorCode, error: clip(error) };
}

/** The consumer died without an answer. */
export function crash(errorCode: string, error: string): Verdict {
  return { kind: CRASH, retryAfterMs: 0, errorCode, error: clip(error) };
}

/** The consumer said that no retry can help. */
export function dead(errorCode: string, error: string): Verdict {
  return { kind: DEAD, retryAfterMs: 0, errorCode, error: clip(error) };
}

/** The consumer cannot have run; the topic backs off, at least for `retryAfterMs`. */
export function notDelivered(error: string, retryAfterMs = 0): Verdict {
  return { kind: RELEASE, retryAfterMs, errorCode: 'NOT_DELIVERED', error: clip(error) };
}

/** Cuts a text at `bytesMax` bytes of UTF-8, never inside a character. */
export function clip(text: string, bytesMax = ERROR_BYTES_MAX): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Milliseconds of a Retry-After header (seconds, fractions too, or an HTTP date); 0 if there is none. */
export function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  const text = header.trim();
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  if (!Number.isFinite(ms) || ms <= 0) return 0;
  return Math.min(Math.ceil(ms), RETRY_AFTER_MS_MAX);
}
