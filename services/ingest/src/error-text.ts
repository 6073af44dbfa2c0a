import { type BusError, ERRORS } from '@malabar/core';
import { replyEncoder } from '@malabar/resp';

/** The Redis error reply of an error: the prefix of its code, then the message. */
export function errorText(error: BusError): string {
  return replyEncoder(2).error(`${ERRORS[error.code].redis} ${error.message}`);
}
