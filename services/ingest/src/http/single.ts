import type { IncomingMessage } from 'node:http';
import { BusError } from '@malabar/core';
import type { JobOutcome } from '../batch.js';
import { type IntakeQueue, tooLarge } from '../intake.js';
import { Submission } from '../submission.js';
import { encodeJob, type HttpJob } from './options.js';
import type { HttpContext } from './server.js';

/** The request's body is one job. Throws what refuses it before it reaches storage. */
export async function pushOne(
  context: HttpContext,
  queue: IntakeQueue,
  wish: HttpJob,
  req: IncomingMessage,
): Promise<JobOutcome> {
  const { intake } = context;
  const body = await readBody(context, queue, req);
  const error = intake.refusal(queue, body.length, body.length);
  if (error) throw intake.refused(queue.name, error);
  return new Promise((resolve) => {
    const submission = new Submission('http', ([outcome]) => resolve(outcome as JobOutcome));
    const batch = intake.batch(queue);
    if (wish.plain) intake.addBody(batch, submission, body, 0, body.length);
    else intake.addJob(batch, submission, encodeJob(wish, body), wish.options);
  });
}

/** Reads up to the queue's limit and not a byte beyond. */
async function readBody(
  { intake, gathering }: HttpContext,
  queue: IntakeQueue,
  req: IncomingMessage,
): Promise<Buffer> {
  const limit = queue.config?.bodyBytesMax ?? 0;
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced > limit) throw intake.refused(queue.name, tooLarge(queue.name, announced, limit));
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // A refusal must still reach the sender over this socket.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      gathering.bytes += chunk.length;
      if (length > limit) throw intake.refused(queue.name, tooLarge(queue.name, length, limit));
      if (gathering.bytes > gathering.bytesMax) {
        throw new BusError('BUSY', 'too many unfinished requests are held in memory');
      }
      chunks.push(chunk);
    }
  } finally {
    gathering.bytes -= length;
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, length);
}
