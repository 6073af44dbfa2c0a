import { common } from '@malabar/contracts';

/** `1 queue`, `2 queues`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Unix milliseconds as local time of day with milliseconds, e.g. `09:30:05.123`. */
export function formatTimeOfDay(unixMs: number): string {
  return `${formatTime(unixMs).slice(11)}.${String(unixMs % 1000).padStart(3, '0')}`;
}

/** A count with thousands separators. */
export function formatCount(value: number): string {
  return value.toLocaleString('en');
}

/** Unix milliseconds as local time with seconds, e.g. `2026-08-01 09:30:05`; `-` for none. */
export function formatTime(unixMs: number): string {
  if (unixMs <= 0) return '-';
  const date = new Date(unixMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const STEPS: readonly [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** A span in its two largest units, e.g. `1h 5min`, `250ms`. */
export function formatSpan(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const parts: string[] = [];
  let rest = ms;
  for (const [size, unit] of STEPS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

/** Bytes in binary units, e.g. `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** The first line of a text, cut at `width` characters. */
export function firstLine(text: string, width: number): string {
  const line = text.split(/\r?\n/, 1)[0] ?? '';
  return line.length > width ? `${line.slice(0, width - 3)}...` : line;
}

/** A body for people: text as it is, bytes as hexadecimal, cut at `limit`. */
export function formatBody(body: Uint8Array, limit = 16_384): string {
  const shown = body.subarray(0, limit);
  const more = body.length > limit ? ` ... (${formatBytes(body.length)} in all)` : '';
  try {
    // `stream`: a character that the limit cuts through is no fault.
    return new TextDecoder('utf-8', { fatal: true }).decode(shown, { stream: true }) + more;
  } catch {
    return `0x${Buffer.from(shown).toString('hex')}${more}`;
  }
}

/** `READY` as `ready`. */
export function stateName(state: common.DeliveryState): string {
  return (common.DeliveryState[state] ?? 'unknown').toLowerCase();
}

/** `RETRY` as `retry`. */
export function outcomeName(outcome: common.OutcomeKind): string {
  return (common.OutcomeKind[outcome] ?? 'unknown').toLowerCase();
}
