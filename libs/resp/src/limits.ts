/**
 * What a peer may make us hold. Read anew at every bulk, so a change of the largest body allowed
 * takes effect on open connections.
 */
export interface RequestLimits {
  /** The largest argument that is handed on; a longer one is skipped and the command marked. */
  bulkBytesMax: number;
  /** The most that one command may hold: arguments plus 16 bytes for each. */
  commandBytesMax: number;
  /** The most that is read and thrown away for one command; announcing more is a protocol error. */
  skipBytesMax: number;
  /** The most arguments of one command. */
  argsMax: number;
}

const MIB = 1024 * 1024;

export const defaultRequestLimits: Readonly<RequestLimits> = {
  bulkBytesMax: MIB,
  commandBytesMax: 16 * MIB,
  skipBytesMax: 64 * MIB,
  argsMax: MIB,
};

/** An inline command and its line end take at most this (redis: PROTO_INLINE_MAX_SIZE). */
export const INLINE_BYTES_MAX = 64 * 1024;
