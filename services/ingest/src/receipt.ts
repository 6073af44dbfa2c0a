import { createHmac, timingSafeEqual } from 'node:crypto';
import { BusError } from '@malabar/core';
import { topicOf } from './access.js';
import type { Intake, IntakeQueue } from './intake.js';

const SEAL_BYTES = 9;

/** What a fetching client holds while it works: who leased what. Opaque to the client. */
export interface Receipt {
  queue: string;
  topic: string;
  jobId: string;
  leaseId: number;
}

/**
 * The receipt as text. It is sealed with the queue's password hash, which every ingest knows and
 * no client does: who may use one queue cannot make up receipts of another.
 */
export function writeReceipt(queue: IntakeQueue, receipt: Omit<Receipt, 'queue'>): string {
  const { jobId, leaseId, topic } = receipt;
  const text = `${jobId}.${leaseId.toString(36)}.${queue.name}/${topic}`;
  return `${seal(queue, topic, text).toString('base64url')}.${text}`;
}

/** The receipt that the text stands for. Throws INVALID if it was never given out as it is. */
export function readReceipt(intake: Intake, text: string): Receipt {
  const parts = /^([\w-]{12})\.(([0-9a-f-]{36})\.([0-9a-z]{1,11})\.([^/]+)\/(.+))$/s.exec(text);
  if (!parts) throw invalid(text);
  const [, given, sealed, jobId, lease, queueName, topic] = parts as unknown as string[];
  const queue = intake.require(queueName as string);
  const expected = seal(queue, topic as string, sealed as string);
  if (!timingSafeEqual(expected, Buffer.from(given as string, 'base64url'))) throw invalid(text);
  return {
    queue: queue.name,
    topic: topic as string,
    jobId: jobId as string,
    leaseId: Number.parseInt(lease as string, 36),
  };
}

function seal(queue: IntakeQueue, topic: string, text: string): Buffer {
  const topicHash = topicOf(queue, topic)?.passwordHash ?? '';
  const key = `${queue.config?.passwordHash ?? ''}\n${topicHash}`;
  return createHmac('sha256', key).update(text).digest().subarray(0, SEAL_BYTES);
}

function invalid(text: string): BusError {
  return new BusError(
    'INVALID',
    `${JSON.stringify(text.slice(0, 100))} is not a receipt of GETJOB`,
  );
}
