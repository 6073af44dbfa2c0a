/** A value under a key. */
export interface Entry {
  key: string;
  value: Buffer;
  /** Of the backend when this value was written; grows with every commit. */
  revision: number;
}

/** What a transaction writes. */
export interface Put {
  key: string;
  value: Uint8Array;
  /** The key goes when the lease does. */
  leaseId?: string;
}

/** All of it or nothing. */
export interface Transaction {
  /** Each key must have this revision; 0 for a key that must not be there. */
  conditions?: ReadonlyArray<{ key: string; revision: number }>;
  puts?: readonly Put[];
  /** A key that is not there is no fault. */
  deletes?: readonly string[];
}

/** The entries of a prefix, by key, at one revision. */
export interface Listing {
  entries: Entry[];
  revision: number;
}

/** One key that was written or, with `entry` undefined, is gone. */
export interface KeyChange {
  key: string;
  entry: Entry | undefined;
}

/** Follows a prefix. Calls come one after the other, never at once, and must not throw. */
export interface Watcher {
  /**
   * Everything that there is, at `revision`: first, and again whenever changes may have been missed
   * (a broken watch, a compacted history). What is not in it is gone.
   */
  reset(listing: Listing): void;
  /** The changes of one commit, at `revision`, in the order of the commits. */
  changed(changes: readonly KeyChange[], revision: number): void;
  /** The backend does not answer; `reset` comes when it does again. Said once per outage. */
  lost(error: Error): void;
}

/**
 * Where a keeper keeps everything: ordered keys with compare-and-set, leases, and a watch. Thin: it
 * knows nothing of domains or instances. A third backend is one more file in backends/ that passes
 * backend.suite.ts. Methods throw BusErrors: UNAVAILABLE when the backend cannot be reached (a commit
 * may have happened then), TOO_LARGE past its limits, INVALID for a transaction that writes a key twice,
 * NOT_FOUND for a put whose lease has ended, CORRUPT, DISK_FULL. They never retry a commit.
 */
export interface Backend {
  readonly name: string;
  /** Operations (conditions, puts and deletes together) that one transaction takes. */
  readonly operationsMax: number;
  /** Bytes that one value and one transaction may have. */
  readonly bytesMax: number;
  open(): Promise<void>;
  get(key: string): Promise<Entry | undefined>;
  /** By the bytes of the keys; `after` goes on behind that key, in the direction of reading. */
  list(
    prefix: string,
    options?: { limit?: number; after?: string; reverse?: boolean },
  ): Promise<Listing>;
  /** The revision of the commit, or undefined if a condition did not hold. Durable when it resolves. */
  commit(transaction: Transaction): Promise<number | undefined>;
  watch(prefix: string, watcher: Watcher): { stop(): void };
  /** A new lease; its keys go `ttlMs` after the last keepAlive. Restarting the keeper renews it once. */
  grant(ttlMs: number): Promise<string>;
  /** False if the lease has ended. */
  keepAlive(leaseId: string): Promise<boolean>;
  /** Ends a lease and deletes its keys; one that has ended is no fault. */
  revoke(leaseId: string): Promise<void>;
  close(): Promise<void>;
}
