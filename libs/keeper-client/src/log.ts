/** The part of a logger that the client uses. */
export interface KeeperClientLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Says nothing. */
export const SILENT: KeeperClientLog = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};
