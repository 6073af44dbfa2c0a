import { dispatcher } from '@malabar/contracts';
import { varintLength, writeVarint } from '@malabar/core';
import type { Delivery } from './delivery.js';

const ID_BYTES = 36;
// WorkItem's fields with their wire types; proto/malabar/dispatcher/v1/dispatcher.proto.
const TAG_LEASE_ID = 0x08;
const TAG_JOB_ID = 0x12;
const TAG_ATTEMPT = 0x18;
const TAG_ACCEPTED_AT_MS = 0x20;
const TAG_JOB = 0x2a;
const TAG_LEASE_UNTIL_MS = 0x30;
/** WorkResponse.items and WorkResponse.timeout_ms. */
const TAG_ITEM = 0x0a;
const TAG_TIMEOUT_MS = 0x10;
/** WorkRequest.done, packed. */
const TAG_DONE = 0x2a;
/** One byte for each tag of an item. */
const ITEM_TAGS = 6;

/** A WorkResponse that is written from its deliveries: no job is decoded to be encoded again. */
export class WorkBatch implements dispatcher.WorkResponse {
  readonly lost: number[] = [];

  constructor(
    readonly deliveries: readonly Delivery[],
    readonly timeoutMs: number,
  ) {}

  /** For callers in the same process, who get objects. */
  get items(): dispatcher.WorkItem[] {
    return this.deliveries.map((delivery) => ({
      leaseId: delivery.leaseId,
      jobId: delivery.jobId,
      attempt: delivery.attempt,
      acceptedAtMs: delivery.acceptedAtMs,
      job: delivery.decode(),
      leaseUntilMs: delivery.leaseUntilMs,
    }));
  }
}

const { work } = dispatcher.WorkerServiceDefinition.methods;

/** WorkerServiceDefinition with faster codecs for what every job passes; the same bytes on the wire. */
export const workerServiceDefinition = {
  ...dispatcher.WorkerServiceDefinition,
  methods: {
    work: {
      ...work,
      requestType: { encode: dispatcher.WorkRequest.encode, decode: decodeRequest },
      responseType: { encode: encodeResponse, decode: decodeResponse },
    },
  },
} as const;

function encodeResponse(message: dispatcher.WorkResponse): { finish(): Uint8Array } {
  if (!(message instanceof WorkBatch)) return dispatcher.WorkResponse.encode(message);
  return { finish: () => encodeBatch(message) };
}

function decodeResponse(bytes: Uint8Array): dispatcher.WorkResponse {
  return dispatcher.WorkResponse.decode(bytes);
}

function encodeBatch({ deliveries, timeoutMs }: WorkBatch): Uint8Array {
  const sizes = new Array<number>(deliveries.length);
  let total = 1 + varintLength(timeoutMs);
  for (let i = 0; i < deliveries.length; i++) {
    const size = itemSize(deliveries[i] as Delivery);
    sizes[i] = size;
    total += 1 + varintLength(size) + size;
  }
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (let i = 0; i < deliveries.length; i++) {
    bytes[at++] = TAG_ITEM;
    at = writeVarint(bytes, at, sizes[i] as number);
    at = writeItem(bytes, at, deliveries[i] as Delivery);
  }
  bytes[at++] = TAG_TIMEOUT_MS;
  writeVarint(bytes, at, timeoutMs);
  return bytes;
}

function itemSize(delivery: Delivery): number {
  return (
    ITEM_TAGS +
    varintLength(delivery.leaseId) +
    (1 + ID_BYTES) +
    varintLength(delivery.attempt) +
    varintLength(delivery.acceptedAtMs) +
    // The frame is the job with its length in front, as protobuf writes a message in a message.
    delivery.bytes +
    varintLength(delivery.leaseUntilMs)
  );
}

function writeItem(bytes: Buffer, start: number, delivery: Delivery): number {
  const { run, frameStart, frameEnd } = delivery;
  let at = start;
  bytes[at++] = TAG_LEASE_ID;
  at = writeVarint(bytes, at, delivery.leaseId);
  bytes[at++] = TAG_JOB_ID;
  bytes[at++] = ID_BYTES;
  at += bytes.write(delivery.jobId, at, 'latin1');
  bytes[at++] = TAG_ATTEMPT;
  at = writeVarint(bytes, at, delivery.attempt);
  bytes[at++] = TAG_ACCEPTED_AT_MS;
  at = writeVarint(bytes, at, delivery.acceptedAtMs);
  bytes[at++] = TAG_JOB;
  bytes.set(run.jobs.subarray(frameStart, frameEnd), at);
  at += frameEnd - frameStart;
  bytes[at++] = TAG_LEASE_UNTIL_MS;
  return writeVarint(bytes, at, delivery.leaseUntilMs);
}

/** Most requests are a list of done leases and nothing else. */
function decodeRequest(bytes: Uint8Array): dispatcher.WorkRequest {
  const done = onlyDone(bytes);
  if (done === undefined) return dispatcher.WorkRequest.decode(bytes);
  return { topic: '', password: '', capacity: 0, outcomes: [], done, worker: '', leaving: false };
}

function onlyDone(bytes: Uint8Array): number[] | undefined {
  if (bytes[0] !== TAG_DONE) return undefined;
  const length = readVarint(bytes, 1);
  if (length === undefined || length.next + length.value !== bytes.length) return undefined;
  const leaseIds: number[] = [];
  for (let at = length.next; at < bytes.length; ) {
    let value = 0;
    let factor = 1;
    let byte: number;
    do {
      byte = bytes[at++] as number;
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
    } while (byte >= 0x80 && at < bytes.length);
    if (byte >= 0x80 || !Number.isSafeInteger(value)) return undefined;
    leaseIds.push(value);
  }
  return leaseIds;
}

function readVarint(bytes: Uint8Array, start: number): { value: number; next: number } | undefined {
  let value = 0;
  let factor = 1;
  for (let at = start; at < Math.min(bytes.length, start + 5); at++) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: at + 1 };
    factor *= 0x80;
  }
  return undefined;
}
