import type { storage } from '@malabar/contracts';
import { BusError, Channel, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { StorageClient } from './storage-client.js';

/** Storage that starts beside us needs a moment; by this attempt, after a second or so, it is away. */
const LATE_ATTEMPT = 5;
const PROBE_TIMEOUT_MS = 5_000;

export interface AppendLinkOptions {
  storage: StorageClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** An answer came. */
  onAnswer(response: storage.AppendResponse): void;
  /** The stream broke: no request sent so far will be answered any more. */
  onBroken(error: BusError): void;
}

/** The one long-lived Append stream to storage. Reconnects for ever; buffers nothing while it is away. */
export interface AppendLink {
  readonly up: boolean;
  /** False: the link is down and nothing was sent. */
  send(request: storage.AppendRequest): boolean;
  /** Gives the present stream up, as if it had broken. */
  abandon(): void;
  /** Ends the stream; what was sent is answered or fails before this resolves. */
  close(): Promise<void>;
}

export function createAppendLink(options: AppendLinkOptions): AppendLink {
  const { storage: client, clock, random, log } = options;
  const stopping = new AbortController();
  let requests: Channel<storage.AppendRequest> | undefined;
  let stream: AbortController | undefined;
  let attempt = 0;

  /** Asks something cheap first, so that no job is trusted to a stream that leads nowhere. */
  async function connect(): Promise<void> {
    await client.listQueues(
      { queue: '' },
      { timeoutMs: PROBE_TIMEOUT_MS, signal: stopping.signal },
    );
    const channel = new Channel<storage.AppendRequest>();
    stream = new AbortController();
    const answers = client.append(channel, { signal: stream.signal });
    requests = channel;
    attempt = 0;
    log.info('connected to storage');
    for await (const response of answers) options.onAnswer(response);
    throw new BusError('UNAVAILABLE', 'storage ended the stream');
  }

  function broke(thrown: unknown): void {
    const wasUp = requests !== undefined;
    requests?.end();
    requests = undefined;
    stream = undefined;
    const error = toBusError(thrown);
    options.onBroken(error);
    if (stopping.signal.aborted) return;
    const level = wasUp || attempt === LATE_ATTEMPT ? 'warn' : 'debug';
    log[level]({ code: error.code, reason: error.message }, 'storage is away');
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await connect().catch(broke);
      await sleep(clock, reconnectDelayMs(attempt++, random), stopping.signal);
    }
  }

  const running = run();
  return {
    get up() {
      return requests !== undefined;
    },
    send(request) {
      if (requests === undefined) return false;
      requests.push(request);
      return true;
    },
    abandon() {
      stream?.abort();
    },
    async close() {
      stopping.abort();
      requests?.end();
      await running;
    },
  };
}
