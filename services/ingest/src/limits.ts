import { defaultRequestLimits, type RequestLimits } from '@malabar/resp';

const MIB = 1024 * 1024;

/** Whatever the queues allow, a body is never larger: it has to fit into one message to storage. */
export const BODY_BYTES_HARD_MAX = 16 * MIB;
/**
 * All jobs of one request, encoded. With the batch that they join they stay below the 32 MiB of a
 * message to storage.
 */
export const REQUEST_BYTES_MAX = 24 * MIB;
/** Arguments that are no bodies (names, receipts) fit even if every queue has a tiny limit. */
const ARGUMENT_BYTES_MIN = 64 * 1024;

/** What connections may send; follows the largest body that a queue takes. */
export function createRequestLimits(): RequestLimits {
  return { ...defaultRequestLimits };
}

/** Takes a new largest body into use, on open connections too. */
export function adjustRequestLimits(limits: RequestLimits, largestBody: number): void {
  limits.bulkBytesMax = Math.max(ARGUMENT_BYTES_MIN, largestBody);
  const commandBytes = limits.bulkBytesMax + MIB;
  limits.commandBytesMax = Math.max(defaultRequestLimits.commandBytesMax, commandBytes);
}
