import pino, { type DestinationStream, type Logger } from 'pino';

export type { Logger };

/** Keys whose values never reach a log, at the top and one level down. */
const SECRET_KEYS = ['password', 'passwordHash', 'secret', 'token', 'authorization'];

export interface LoggerOptions {
  /** trace, debug, info, warn, error, fatal or silent. */
  level: string;
  /** One readable line instead of JSON, for a person at a terminal. */
  pretty?: boolean;
  /** Fields on every line. */
  base?: Record<string, unknown>;
  /** Default: standard output. */
  destination?: DestinationStream;
}

/** Structured logs: one JSON object a line, secrets cut out. */
export function createLogger(options: LoggerOptions): Logger {
  const { level, pretty = false, base = {} } = options;
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const redact = {
    paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]),
    censor: '[secret]',
  };
  const format = { level: (label: string) => ({ level: label }) };
  const stream = pretty ? prettyStream(destination) : destination;
  return pino(
    { level, base, redact, formatters: format, timestamp: pino.stdTimeFunctions.isoTime },
    stream,
  );
}

/** `12:30:01 info  storage: store opened  path=./data` */
function prettyStream(destination: DestinationStream): DestinationStream {
  return {
    write(line: string) {
      const { level, time, msg, service, ...rest } = JSON.parse(line) as Record<string, unknown>;
      const where = service === undefined ? '' : `${service}: `;
      const fields = Object.entries(rest).map(([key, value]) => `${key}=${short(value)}`);
      const text = `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${where}${msg ?? ''}`;
      destination.write(`${[text, ...fields].join('  ')}\n`);
    },
  };
}

function short(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { message } = value as { message?: unknown };
  return typeof message === 'string' ? message : JSON.stringify(value);
}
