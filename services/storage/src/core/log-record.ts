import { crc32 } from 'node:zlib';
import { records } from '@malabar/contracts';
import { BusError, frameBody, frameOffsets, varintLength, writeVarint } from '@malabar/core';
import type { LogEntry } from '../engine.js';

/** A log record in memory: a batch of jobs that were accepted together. */
export class JobBatch {
  #offsets: number[] | undefined;

  constructor(
    readonly shard: number,
    readonly firstSeq: number,
    readonly count: number,
    readonly acceptedAtMs: number,
    /** Length-delimited Job messages. */
    readonly jobs: Uint8Array,
  ) {}

  /** Behind the last job. */
  get endSeq(): number {
    return this.firstSeq + this.count;
  }

  /** The frames of the jobs [from, to), sharing memory with the batch. */
  frames(from: number, to: number): Uint8Array {
    if (from === this.firstSeq && to === this.endSeq) return this.jobs;
    const offsets = this.#frameOffsets();
    return this.jobs.subarray(offsets[from - this.firstSeq], offsets[to - this.firstSeq]);
  }

  /** The encoded Job at a sequence number. */
  job(seq: number): Uint8Array {
    const offsets = this.#frameOffsets();
    const i = seq - this.firstSeq;
    return frameBody(this.jobs, offsets[i] as number, offsets[i + 1] as number);
  }

  #frameOffsets(): number[] {
    this.#offsets ??= frameOffsets(this.jobs) ?? [];
    return this.#offsets;
  }
}

/** Encoded jobs as they came in one request, or what is left of it. */
export interface JobPart {
  bytes: Uint8Array;
  count: number;
}

/** The most bytes of jobs in one log record, unless one job alone is larger. */
export const RECORD_BYTES_MAX = 1024 * 1024;

/**
 * The same where jobs of the commit leave the log's order: each will be read by itself, maybe months
 * from now, and reading one job means reading its record. Four pages of LMDB hold it.
 */
export const SPECIAL_RECORD_BYTES_MAX = 16_000;

/** Spreads the parts of one commit over as few log records as their size allows, keeping their order. */
export function rollRecords(parts: readonly JobPart[], bytesMax = RECORD_BYTES_MAX): JobPart[][] {
  const rolled: JobPart[][] = [];
  let current: JobPart[] = [];
  let size = 0;
  for (const part of parts.flatMap((part) => splitPart(part, bytesMax))) {
    if (size > 0 && size + part.bytes.length > bytesMax) {
      rolled.push(current);
      current = [];
      size = 0;
    }
    current.push(part);
    size += part.bytes.length;
  }
  if (current.length > 0) rolled.push(current);
  return rolled;
}

function splitPart(part: JobPart, bytesMax: number): JobPart[] {
  if (part.bytes.length <= bytesMax || part.count === 1) return [part];
  const offsets = frameOffsets(part.bytes) ?? [];
  const pieces: JobPart[] = [];
  let from = 0;
  while (from < part.count) {
    const start = offsets[from] as number;
    let to = from + 1;
    while (to < part.count && (offsets[to + 1] as number) - start <= bytesMax) to++;
    pieces.push({ bytes: part.bytes.subarray(start, offsets[to]), count: to - from });
    from = to;
  }
  return pieces;
}

const ACCEPTED_AT = 0x08;
const COUNT = 0x10;
const CRC = 0x1d;
const JOBS = 0x22;

/** Encodes a LogRecord straight from its parts: the one copy that storage makes of a job. */
export function encodeRecord(
  shard: number,
  firstSeq: number,
  acceptedAtMs: number,
  parts: readonly JobPart[],
): { entry: LogEntry; batch: JobBatch } {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const size = parts.reduce((sum, part) => sum + part.bytes.length, 0);
  const header = 8 + varintLength(acceptedAtMs) + varintLength(count) + varintLength(size);
  const bytes = Buffer.allocUnsafe(header + size);
  bytes[0] = ACCEPTED_AT;
  let at = writeVarint(bytes, 1, acceptedAtMs);
  bytes[at++] = COUNT;
  at = writeVarint(bytes, at, count);
  bytes[at++] = CRC;
  const crcAt = at;
  bytes[at + 4] = JOBS;
  at = writeVarint(bytes, at + 5, size);
  const jobs = bytes.subarray(at, at + size);
  let offset = 0;
  for (const part of parts) {
    jobs.set(part.bytes, offset);
    offset += part.bytes.length;
  }
  const batch = new JobBatch(shard, firstSeq, count, acceptedAtMs, jobs);
  bytes.writeUInt32LE(checksum(batch), crcAt);
  return { entry: { shard, firstSeq, bytes }, batch };
}

/** Reads a LogRecord. Throws CORRUPT, naming the place, if its bytes are not what was written. */
export function decodeRecord(entry: LogEntry): JobBatch {
  const where = `log record ${entry.firstSeq} of shard ${entry.shard}`;
  let record: records.LogRecord;
  try {
    record = records.LogRecord.decode(entry.bytes);
  } catch (cause) {
    throw new BusError('CORRUPT', `${where} cannot be read`, { cause });
  }
  const { count, acceptedAtMs, jobs } = record;
  const batch = new JobBatch(entry.shard, entry.firstSeq, count, acceptedAtMs, jobs);
  if (checksum(batch) !== record.crc)
    throw new BusError('CORRUPT', `${where} is damaged: its checksum does not match`);
  return batch;
}

/** Of the jobs, their number, time and place: a whole record in a wrong place is damage too. */
function checksum({ shard, firstSeq, count, acceptedAtMs, jobs }: JobBatch): number {
  return crc32(jobs, crc32(`${shard}/${firstSeq}/${count}/${acceptedAtMs}`));
}
