const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export interface MemoryEntry {
  level: (typeof LEVELS)[number];
  message: string;
  fields: Record<string, unknown>;
}

type Write = (fields: unknown, message?: string) => void;

/** The part of pino's Logger that services use. */
export type MemoryLogger = Record<MemoryEntry['level'], Write> & {
  level: string;
  child(fields: Record<string, unknown>): MemoryLogger;
};

/**
 * A logger that keeps its lines. Where a pino Logger is asked for: `logToMemory<Logger>().log`.
 */
export function logToMemory<L = MemoryLogger>(): { log: L; entries: MemoryEntry[] } {
  const entries: MemoryEntry[] = [];
  return { log: memoryLogger(entries, {}) as L, entries };
}

function memoryLogger(entries: MemoryEntry[], bound: Record<string, unknown>): MemoryLogger {
  const writes = LEVELS.map((level): [string, Write] => [
    level,
    (fields, message) => {
      if (typeof fields === 'string') entries.push({ level, message: fields, fields: bound });
      else
        entries.push({ level, message: message ?? '', fields: { ...bound, ...asObject(fields) } });
    },
  ]);
  return {
    ...(Object.fromEntries(writes) as Record<MemoryEntry['level'], Write>),
    level: 'trace',
    child: (fields) => memoryLogger(entries, { ...bound, ...fields }),
  };
}

function asObject(fields: unknown): object {
  return fields instanceof Error ? { err: fields } : (fields as object);
}
