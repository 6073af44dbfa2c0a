import { BusError } from '@malabar/core';
import type { CallContext } from './definition.js';

type CallFacts = Pick<CallContext, 'metadata' | 'peer' | 'trusted' | 'deadlineAtMs'>;

/** One call under way: how long it lives and what its implementation may know of it. */
export class Call implements CallContext {
  readonly metadata: ReadonlyMap<string, string>;
  readonly peer: string;
  readonly trusted: boolean;
  readonly deadlineAtMs: number | undefined;
  #over = false;
  #error: BusError | undefined;
  #controller: AbortController | undefined;
  readonly #listeners: Array<(error: BusError | undefined) => void> = [];

  constructor(facts: CallFacts) {
    this.metadata = facts.metadata;
    this.peer = facts.peer;
    this.trusted = facts.trusted;
    this.deadlineAtMs = facts.deadlineAtMs;
  }

  // Made on demand: an AbortController costs more than most unary calls.
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#error) this.#controller.abort(this.#error);
    return this.#controller.signal;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Throws the reason if the call was cut short. */
  throwIfCut(): void {
    if (this.#error) throw this.#error;
  }

  /** Calls back once the call is over, with the reason if it was cut short; at once if it is over. */
  whenOver(listener: (error: BusError | undefined) => void): void {
    if (this.#over) listener(this.#error);
    else this.#listeners.push(listener);
  }

  /** The call has run its course. */
  finish(): void {
    this.#end(undefined);
  }

  /** The call is cut short: aborts the signal. */
  cancel(error: BusError): void {
    this.#end(error);
  }

  #end(error: BusError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    if (error) this.#controller?.abort(error);
    for (const listener of this.#listeners.splice(0)) listener(error);
  }
}

/** What a caller gets whose signal was aborted. */
export function cancelledByCaller(path: string, reason?: unknown): BusError {
  return new BusError('UNAVAILABLE', `${path} was cancelled by its caller`, { cause: reason });
}

/** What both sides get past the deadline. */
export function pastDeadline(path: string): BusError {
  return new BusError('TIMEOUT', `${path} did not end before its deadline`);
}

/** Calls `run` when the signal aborts, at once if it has; returns how to stop listening. */
export function onAbort(signal: AbortSignal | undefined, run: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    run();
    return () => {};
  }
  signal.addEventListener('abort', run, { once: true });
  return () => signal.removeEventListener('abort', run);
}

/** What an implementation gets that reads requests of a call that it has answered. */
export function callEnded(path: string): BusError {
  return new BusError('UNAVAILABLE', `${path} has ended`);
}
