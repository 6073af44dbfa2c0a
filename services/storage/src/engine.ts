/**
 * What a place that keeps shards must be able to do. Engines are thin: they know logs and ordered
 * records, nothing of leases, topics or retries. A new engine is one file in engines/ that passes
 * engine.suite.ts.
 */

/** An ordered key: bytes, held in a string of the code points 0 to 255 so that it compares and maps. */
export type Key = string;

/** One record of a shard's log: a batch of jobs under its first sequence number. */
export interface LogEntry {
  shard: number;
  firstSeq: number;
  bytes: Uint8Array;
}

/** Everything that one commit changes. */
export interface WriteBatch {
  appends: readonly LogEntry[];
  /** State records: a value puts, undefined deletes. */
  state: ReadonlyMap<Key, Uint8Array | undefined>;
  /** Log records to drop, by shard and first sequence number. */
  drops: ReadonlyArray<{ shard: number; firstSeq: number }>;
  /** None of it is new work: it may take the last room, because it makes some. */
  urgent?: boolean;
}

/** A stretch of state records: from `start` (inclusive) up to `end` (exclusive). */
export interface KeyRange {
  start: Key;
  end: Key;
  limit: number;
  /** Newest key first; `start` and `end` keep their meaning. */
  reverse?: boolean;
}

export interface Engine {
  /**
   * Makes this process the owner and returns its epoch, one higher than every owner before. Commits
   * of earlier owners fail from now on. Throws CORRUPT (with what to do) if the data is damaged.
   */
  open(): Promise<number>;
  /**
   * Applies the whole batch atomically. Resolves when it is durable, rejects when nothing of it was
   * applied: DISK_FULL when there is no room, STALE_LEASE when another owner has opened the engine.
   * Not to be called again before it has settled. Never retries itself.
   */
  commit(batch: WriteBatch): Promise<void>;
  get(key: Key): Promise<Uint8Array | undefined>;
  /** State records in key order. Sees every commit that resolved before the call. */
  scan(range: KeyRange): Promise<Array<[Key, Uint8Array]>>;
  /** The log record that begins at or last before `seq`; undefined if there is none. */
  readLog(shard: number, seq: number): Promise<LogEntry | undefined>;
  /** The first log record that begins at or after `seq`. */
  nextLog(shard: number, seq: number): Promise<LogEntry | undefined>;
  close(): Promise<void>;
}
