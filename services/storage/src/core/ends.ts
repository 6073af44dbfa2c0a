import { type common, keeper, records } from '@malabar/contracts';
import type { BatchPart } from './batch.js';
import { attemptKey, entryKey } from './keys.js';
import type { Lease } from './lease.js';
import { discardedAfter, type Ending, endingOf, isWanted } from './result.js';
import type { Topic } from './topic.js';
import type { WriteBuffer } from './write-buffer.js';

const { DISCARDED } = keeper.ResultStatus;

/** Why a delivery was not to be. */
export interface Why {
  errorCode: string;
  error: string;
}

/** How deliveries of one topic have ended: counted, written down, and told to the queue that wants to know. */
export class Ends {
  done: number;
  dead: number;
  discarded: number;

  constructor(
    private readonly topic: Topic,
    record: records.TopicRecord,
    private readonly writes: WriteBuffer,
  ) {
    this.done = record.done;
    this.dead = record.dead;
    this.discarded = record.discarded;
  }

  /** Writes an attempt down that failed; `number` counts from 1. */
  attempt(lease: Lease, number: number, outcome: common.Outcome): void {
    const record = records.AttemptRecord.fromPartial({
      outcome: outcome.kind,
      consumer: outcome.consumer || lease.grant.holder.name,
      errorCode: outcome.errorCode,
      error: outcome.error,
      startedAtMs: outcome.startedAtMs || lease.grant.grantedAtMs,
      durationMs: outcome.durationMs,
    });
    const key = attemptKey(this.topic.shard, this.topic.id, lease.seq, number);
    this.writes.put(key, records.AttemptRecord.encode(record).finish());
  }

  /** The delivery is dead: kept, until somebody replays or discards it. */
  bury(seq: number, record: records.EntryRecord): void {
    this.#put('D', seq, record);
    this.dead++;
  }

  /** It is dead no more. */
  unbury(seq: number): void {
    this.writes.delete(entryKey('D', this.topic.shard, this.topic.id, seq));
    this.dead--;
  }

  /** The delivery is never begun (again). */
  discard(seq: number, record: records.EntryRecord): void {
    this.#put('X', seq, record);
    this.discarded++;
  }

  /** What a delivery has become counts in its batch, if it has one. `why` it ended so. */
  count(
    record: records.EntryRecord | undefined,
    was: BatchPart,
    is: BatchPart,
    why: Why | undefined = record,
  ): void {
    if (record === undefined || record.batch === '') return;
    const { batch, errorCode: codeBefore } = record;
    const { errorCode: code = '', error = '' } = why ?? {};
    const { shard, name: topic } = this.topic;
    this.writes.count({ batch, was, codeBefore, is, code, error, shard, topic });
  }

  /** Tells how an attempt has ended. */
  tell(lease: Lease, status: keeper.ResultStatus, outcome: common.Outcome, now: number): void {
    if (isWanted(this.topic, status)) this.#tell(lease.seq, status, endingOf(lease, outcome, now));
  }

  /** Tells that a delivery was discarded after so many attempts. */
  tellDiscarded(seq: number, why: Why, attempts: number): void {
    if (isWanted(this.topic, DISCARDED)) this.#tell(seq, DISCARDED, discardedAfter(why, attempts));
  }

  #tell(seq: number, status: keeper.ResultStatus, ending: Ending): void {
    const to = this.topic.config.result?.queue ?? '';
    this.writes.tell({ to, topic: this.topic, seq, status, ...ending });
  }

  #put(letter: 'D' | 'X', seq: number, record: records.EntryRecord): void {
    const key = entryKey(letter, this.topic.shard, this.topic.id, seq);
    this.writes.put(key, records.EntryRecord.encode(record).finish());
  }
}
