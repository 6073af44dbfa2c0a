import { BusError, type Clock } from '@malabar/core';
import type { Backend, Transaction } from '../backend.js';

/** What goes wrong at one commit. */
export type Fault =
  /** It is not done, and neither is anything after it. */
  | 'dies before'
  /** It is done, and nothing after it. */
  | 'dies after'
  /** It is not done; what comes after it is. */
  | 'fails'
  /** It is done, but the caller does not hear so. */
  | 'loses the answer'
  /** It fails, and is done all the same just before the next commit. */
  | 'is late'
  /** It fails, and is done all the same just after the next commit. */
  | 'is very late';

export interface FaultyBackend extends Backend {
  /** Commits that were asked for. */
  commits: number;
}

/** A backend that stumbles at commit number `at`, counted from 1. */
export function faultyBackend(
  backend: Backend,
  { fault, at, ...limits }: { fault: Fault; at: number; operationsMax?: number },
): FaultyBackend {
  let isDead = false;
  let late: Transaction | undefined;
  const alive = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (isDead) throw unavailable();
      return call.apply(backend, args);
    };
  };
  const runLate = async (): Promise<void> => {
    const transaction = late;
    late = undefined;
    if (transaction !== undefined) await backend.commit(transaction);
  };
  const commit = async (transaction: Transaction): Promise<number | undefined> => {
    if (++faulty.commits !== at) {
      if (fault === 'is late') await runLate();
      const revision = await backend.commit(transaction);
      await runLate();
      return revision;
    }
    if (fault === 'dies after' || fault === 'loses the answer') await backend.commit(transaction);
    if (fault === 'is late' || fault === 'is very late') late = transaction;
    isDead = fault === 'dies before' || fault === 'dies after';
    throw unavailable();
  };
  const faulty: FaultyBackend = {
    name: backend.name,
    operationsMax: limits.operationsMax ?? backend.operationsMax,
    bytesMax: backend.bytesMax,
    commits: 0,
    open: () => backend.open(),
    get: alive(backend.get),
    list: alive(backend.list),
    commit: alive(commit),
    watch: (prefix, watcher) => backend.watch(prefix, watcher),
    grant: (ttlMs) => backend.grant(ttlMs),
    keepAlive: (leaseId) => backend.keepAlive(leaseId),
    revoke: (leaseId) => backend.revoke(leaseId),
    close: () => backend.close(),
  };
  return faulty;
}

/** A clock on which pauses of up to a second are over at once, and longer ones never. */
export function hastyClock(): Clock {
  let nowMs = Date.UTC(2030, 0, 1);
  return {
    now: () => nowMs,
    after(delayMs, run) {
      if (delayMs > 1_000) return () => {};
      const timer = setImmediate(() => {
        nowMs += delayMs;
        run();
      });
      return () => clearImmediate(timer);
    },
  };
}

function unavailable(): BusError {
  return new BusError('UNAVAILABLE', 'the backend does not answer');
}
