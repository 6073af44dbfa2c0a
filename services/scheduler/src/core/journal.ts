import { packRecord, type ScheduleRecord, unpackRecord } from './record.js';

/** Records that each entry carries beside the changed ones, and that one without changes carries. */
const CARRIED = 8;
const CARRIED_IDLE = 500;

interface Entry {
  /** Of the leader who wrote it. */
  token: number;
  /** Its position in the journal, as its writer expected it. Absent: a claim. */
  sequence?: number;
  /** Whoever reads from here on has read everything. */
  base?: number;
  /** null: the schedule is gone. */
  records?: Record<string, Partial<ScheduleRecord> | null>;
}

/** An entry where it lies in the journal: positions count up by one. */
export interface JournalLine {
  position: number;
  text: string;
}

/** What a leader knows when it begins. */
export interface LoadedJournal {
  records: Map<string, ScheduleRecord>;
  /** Of the last line. */
  position: number;
  base: number;
  /** The greatest that was seen. */
  token: number;
}

/** The line that a new leader writes before it reads: from then on no other leader's line counts. */
export const claimText = (token: number): string => JSON.stringify({ token } satisfies Entry);

/** From which position on to read, as this line says; undefined for a claim, which does not know. */
export const baseOf = (text: string): number | undefined => entryOf(text)?.base;

/** Whether a line can be read. One that cannot takes a place and says nothing. */
export const isEntry = (text: string): boolean => entryOf(text) !== undefined;

function entryOf(text: string): Entry | undefined {
  try {
    const entry: unknown = JSON.parse(text);
    if (typeof entry !== 'object' || entry === null || !('token' in entry)) return undefined;
    return Number.isSafeInteger(entry.token) ? (entry as Entry) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What the lines say together. A line counts if its writer knew the one before it: it lies where its
 * writer expected it, and nobody with a greater token wrote earlier. So a leader that lost its office
 * and does not know it yet changes nothing any more.
 */
export function foldJournal(lines: Iterable<JournalLine>): LoadedJournal {
  const journal: LoadedJournal = { records: new Map(), position: -1, base: 0, token: 0 };
  for (const { position, text } of lines) {
    journal.position = position;
    const entry = entryOf(text);
    if (entry === undefined || entry.token < journal.token) continue;
    if (entry.sequence !== undefined && entry.sequence !== position) continue;
    journal.token = entry.token;
    journal.base = entry.base ?? journal.base;
    for (const [name, packed] of Object.entries(entry.records ?? {})) {
      if (packed === null) journal.records.delete(name);
      else journal.records.set(name, unpackRecord(packed));
    }
  }
  return journal;
}

/**
 * Writes what has changed. There are no snapshots, which would be large and late: every entry carries a
 * few unchanged records more, in turn, so that the end of the journal always holds them all.
 */
export class JournalWriter {
  #next: number;
  #base: number;
  #roundStart: number;
  #round: Iterator<string>;
  /** Records as they were written last: most of those that are carried have not changed since. */
  readonly #texts = new Map<string, string>();

  constructor(
    private readonly token: number,
    private readonly records: ReadonlyMap<string, ScheduleRecord>,
    { position, base }: LoadedJournal,
  ) {
    this.#next = position + 1;
    this.#base = base;
    this.#roundStart = this.#next;
    this.#round = records.keys();
  }

  /** The entry with the records of these names, which have changed, as they are now. */
  write(names: readonly string[]): { sequence: number; text: string } {
    const sequence = this.#next++;
    // The base is true without this entry, because nobody knows yet whether this entry will count.
    const head: Entry = { token: this.token, sequence, base: this.#base };
    const written = new Set(names);
    for (const name of names) this.#texts.delete(name);
    this.#carry(written, names.length === 0 ? CARRIED_IDLE : CARRIED, sequence);
    const records = Array.from(written, (name) => `${JSON.stringify(name)}:${this.#textOf(name)}`);
    return { sequence, text: `${JSON.stringify(head).slice(0, -1)},"records":{${records}}}` };
  }

  #textOf(name: string): string {
    const record = this.records.get(name);
    if (record === undefined) return 'null';
    const text = this.#texts.get(name) ?? JSON.stringify(packRecord(record));
    this.#texts.set(name, text);
    return text;
  }

  /** Adds the next `count` of the round. When it ends, what is older than it is all in it again. */
  #carry(written: Set<string>, count: number, sequence: number): void {
    for (let i = 0; i < count; i++) {
      const { done, value } = this.#round.next();
      if (!done) written.add(value);
      if (!done) continue;
      this.#base = this.#roundStart;
      this.#roundStart = sequence + 1;
      this.#round = this.records.keys();
      return;
    }
  }
}
