import { BusError } from './errors.js';

/**
 * A job id is a UUIDv7 (RFC 9562) that needs no index: its random bits say where the job lies.
 *
 *   48 bits  unix milliseconds of the acceptance
 *    4 bits  version 7
 *   12 bits  store (10), upper 2 bits of the shard
 *    2 bits  variant
 *   62 bits  lower 14 bits of the shard, sequence number (48)
 */
export interface JobLocation {
  acceptedAtMs: number;
  /** 0 to 1023. */
  store: number;
  /** 0 to 65535. */
  shard: number;
  /** 0 to 2^48 - 1. */
  seq: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** The id of the job at a location. */
export function jobId(acceptedAtMs: number, store: number, shard: number, seq: number): string {
  const time = hex(acceptedAtMs, 12);
  const upper = hex((store << 2) | (shard >> 14), 3);
  const lower = hex(0x8000 | (shard & 0x3fff), 4);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${upper}-${lower}-${hex(seq, 12)}`;
}

/** Where the job with this id lies. Throws INVALID if the text is no job id. */
export function parseJobId(id: string): JobLocation {
  const text = id.toLowerCase();
  if (!UUID.test(text)) throw new BusError('INVALID', `'${id.slice(0, 64)}' is not a job id`);
  const upper = Number.parseInt(text.slice(15, 18), 16);
  const lower = Number.parseInt(text.slice(19, 23), 16);
  return {
    acceptedAtMs: Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16),
    store: upper >> 2,
    shard: ((upper & 3) << 14) | (lower & 0x3fff),
    seq: Number.parseInt(text.slice(24), 16),
  };
}
