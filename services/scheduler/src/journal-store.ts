import { JOURNAL_QUEUE, JOURNAL_TOPIC } from '@malabar/config';
import { common, type storage } from '@malabar/contracts';
import { BusError, fromFault, parseJobId, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import {
  baseOf,
  claimText,
  foldJournal,
  isEntry,
  type JournalLine,
  type LoadedJournal,
} from './core/journal.js';
import type { Patience } from './patience.js';
import type { Submitter } from './submitter.js';

export type StorageClient = Client<typeof storage.StorageServiceDefinition>;

const WINDOW_MS = 7 * 86_400_000;
const PAGE = 200;
/** Lines that nobody needs any more are taken away when there are so many of them. */
const TRIM_LINES = 128;
const TRIM_LEASE_MS = 10_000;
/** A line that changes its state while the states are read may be missed; in so many readings it is not. */
const READS_MAX = 4;
const { READY, LEASED, SCHEDULED } = common.DeliveryState;
const { DONE, RELEASE } = common.OutcomeKind;

export interface JournalStoreOptions {
  submitter: Submitter;
  storage: StorageClient;
  patience: Patience;
}

/**
 * The journal as a queue: a line is a job, its position the job's sequence number. Lines wait in a
 * topic that nobody works on and are settled once a newer line has all that they say.
 */
export class JournalStore {
  #floor = 0;

  constructor(private readonly options: JournalStoreOptions) {}

  /** Ends what every leader before may still write, and tells what they have written. */
  async claim(token: number): Promise<LoadedJournal> {
    await this.#write(claimText(token), `claim/${token}`);
    const lines = await this.#readWhole();
    this.#floor = lines[0]?.position ?? 0;
    const { base } = foldJournal(lines);
    // What could not be trimmed, and lies alone now, would speak of schedules that are gone.
    return foldJournal(lines.filter(({ position }) => position >= base));
  }

  async #readWhole(): Promise<JournalLine[]> {
    const { patience } = this.options;
    let reads = 0;
    const lines = await patience.until('the journal is read', async () => {
      const found = await this.#read();
      const missing = missingFrom(found);
      if (missing === undefined) return found;
      const text = `line ${missing} of the journal is not there`;
      if (++reads < READS_MAX) throw new BusError('UNAVAILABLE', text);
      patience.log.error({ line: missing }, `${text}; what it said is lost`);
      return found;
    });
    for (const { position, text } of lines)
      if (!isEntry(text))
        patience.log.error(
          { line: position },
          'a line of the journal cannot be read; it says nothing',
        );
    return lines;
  }

  /** Writes a line. Throws STALE_LEASE if another leader has written since. */
  async append(token: number, position: number, text: string): Promise<void> {
    const at = await this.#write(text, `${token}/${position}`);
    if (at !== position) {
      const where = `line ${position} has become line ${at}`;
      throw new BusError('STALE_LEASE', `another scheduler writes the journal: ${where}`);
    }
    const base = baseOf(text) ?? 0;
    if (base - this.#floor >= TRIM_LINES) await this.#trim(base);
  }

  /** The key makes a line that is written again after a lost answer the same line. */
  #write(text: string, idempotencyKey: string): Promise<number> {
    const { submitter, patience } = this.options;
    const job = common.Job.fromPartial({ body: Buffer.from(text), idempotencyKey });
    return patience.until('the journal is written', async () => {
      const [result] = await submitter.submit(JOURNAL_QUEUE, [job], WINDOW_MS);
      if (result?.fault !== undefined) throw fromFault(result.fault);
      return parseJobId(result?.jobId ?? '').seq;
    });
  }

  async #read(): Promise<JournalLine[]> {
    const lines = new Map<number, string>();
    for (const state of [READY, LEASED, SCHEDULED]) {
      for await (const { jobId, job } of this.#deliveries(state))
        lines.set(parseJobId(jobId).seq, Buffer.from(job?.body ?? '').toString());
    }
    return [...lines]
      .map(([position, text]) => ({ position, text }))
      .sort((a, b) => a.position - b.position);
  }

  async *#deliveries(state: common.DeliveryState): AsyncGenerator<storage.Delivery> {
    const place = { queue: JOURNAL_QUEUE, topic: JOURNAL_TOPIC };
    let cursor = '';
    do {
      const asked = { ...place, state, limit: PAGE, cursor, withBody: true };
      const page = await this.options.storage.listJobs(asked);
      yield* page.deliveries;
      cursor = page.nextCursor;
    } while (cursor !== '');
  }

  /** Settles lines before `base`. What is fetched too much, because somebody else does the same, goes back. */
  async #trim(base: number): Promise<void> {
    const { storage, patience } = this.options;
    const maxJobs = base - this.#floor;
    const place = { queue: JOURNAL_QUEUE, topic: JOURNAL_TOPIC, consumer: 'scheduler' };
    try {
      const asked = { ...place, maxJobs, waitMs: 0, leaseMs: TRIM_LEASE_MS, settle: false };
      const { runs } = await storage.fetch(asked);
      const outcomes = runs.flatMap((run) => outcomesOf(run, base));
      await storage.settle({ outcomes });
      this.#floor = base;
    } catch (thrown) {
      const { code, message } = toBusError(thrown);
      patience.log.warn({ code, reason: message }, 'the journal could not be trimmed');
    }
  }
}

function outcomesOf({ firstSeq, firstLeaseId, count }: common.JobRun, base: number) {
  return Array.from({ length: count }, (_, at) =>
    common.Outcome.fromPartial({
      leaseId: firstLeaseId + at,
      kind: firstSeq + at < base ? DONE : RELEASE,
    }),
  );
}

/** The first line that is not there of those that must be; undefined if all are. */
function missingFrom(lines: readonly JournalLine[]): number | undefined {
  const { base, position: last } = foldJournal(lines);
  const there = new Set(lines.map(({ position }) => position));
  for (let position = base; position < last; position++) if (!there.has(position)) return position;
  return undefined;
}
