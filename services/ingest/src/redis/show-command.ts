import { common, type storage } from '@malabar/contracts';
import type { ReplyEncoder } from '@malabar/resp';
import type { RedisCommand } from './command.js';

const SHOW_TIMEOUT_MS = 5_000;

/** SHOW id: the job and its state in every topic. */
export const show: RedisCommand = {
  argumentsMin: 1,
  argumentsMax: 1,
  summary: 'A job with its state and attempts in every topic.',
  flags: ['readonly'],
  key: 0,
  run(session, connection) {
    const jobId = connection.parser.text(1);
    return connection.hold(async () => {
      const { intake, storage } = session.context;
      const found = await storage.getJob({ jobId }, { timeoutMs: SHOW_TIMEOUT_MS });
      const error = session.access.pushRefusal(intake.require(found.queue));
      if (error) throw error;
      return describeJob(session.encoder, jobId, found);
    });
  },
};

function describeJob(
  encoder: ReplyEncoder,
  jobId: string,
  { queue, job, deliveries }: storage.GetJobResponse,
): string {
  return encoder.map([
    ['id', encoder.bulk(jobId)],
    ['queue', encoder.bulk(queue)],
    ['accepted-at-ms', encoder.integer(deliveries[0]?.acceptedAtMs ?? 0)],
    ['body', encoder.bytes(Buffer.from(job?.body ?? []))],
    ['topics', encoder.array(deliveries.map((each) => describeDelivery(encoder, each)))],
  ]);
}

function describeDelivery(encoder: ReplyEncoder, delivery: storage.Delivery): string {
  const state = common.DeliveryState[delivery.state] ?? String(delivery.state);
  return encoder.map([
    ['topic', encoder.bulk(delivery.topic)],
    ['state', encoder.bulk(state.toLowerCase())],
    ['attempts', encoder.integer(delivery.attempts)],
    ['due-at-ms', encoder.integer(delivery.dueAtMs)],
    ['error', encoder.bulk(delivery.error)],
  ]);
}
