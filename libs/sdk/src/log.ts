/** The part of a logger that the library uses; pino and console fit. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Warnings and errors, a line each, on stderr. */
export const STDERR: Log = {
  debug: () => {},
  info: () => {},
  warn: (fields, message) => write('warning', fields, message),
  error: (fields, message) => write('error', fields, message),
};

function write(level: string, fields: object, message: string): void {
  process.stderr.write(`malabar: ${level}: ${message} ${JSON.stringify(fields)}\n`);
}
