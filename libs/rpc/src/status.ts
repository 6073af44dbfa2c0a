import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { BusError, ERRORS, type ErrorCode, errorCode } from '@malabar/core';

// The trailer that carries a BusError's code; its message is the status message.
const CODE_KEY = 'malabar-code';

// Trailers must fit a header block, and percent-encoding makes up to nine characters of one.
const MESSAGE_LENGTH_MAX = 4_096;

/** gRPC's name of a status, for the ecosystem's metrics. */
export function statusName(error?: BusError): string {
  return status[error ? ERRORS[error.code].grpc : status.OK] ?? 'UNKNOWN';
}

/** An error as it goes out. */
export function toStatus(error: BusError): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  // grpc-js runs encodeURI over the text, which throws on half a surrogate pair.
  const details = Buffer.from(error.message.slice(0, MESSAGE_LENGTH_MAX)).toString();
  return { code: ERRORS[error.code].grpc, details, metadata };
}

const CODES: Partial<Record<status, ErrorCode>> = {
  [status.CANCELLED]: 'UNAVAILABLE',
  [status.INVALID_ARGUMENT]: 'INVALID',
  [status.DEADLINE_EXCEEDED]: 'TIMEOUT',
  [status.PERMISSION_DENIED]: 'FORBIDDEN',
  [status.RESOURCE_EXHAUSTED]: 'BUSY',
  [status.UNIMPLEMENTED]: 'UNSUPPORTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.DATA_LOSS]: 'CORRUPT',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

/**
 * An error as it came in. One that a Malabar service threw is restored; one of gRPC itself gets
 * the code that fits and says where it happened.
 */
export function fromStatus(thrown: ServiceError, path: string, address: string): BusError {
  const code = thrown.metadata?.get(CODE_KEY)[0];
  if (code !== undefined) return new BusError(errorCode(String(code)), thrown.details);
  // grpc-js ends some texts with an empty note.
  const details = (thrown.details || thrown.message).replace(/[.\s]*Resolution note:\s*$/, '');
  const message = `${path} at ${address}: ${details}`;
  return new BusError(transportCode(thrown), message, { cause: thrown });
}

function transportCode({ code, details }: ServiceError): ErrorCode {
  if (code === status.RESOURCE_EXHAUSTED && /larger than/.test(details)) return 'TOO_LARGE';
  // A connection that breaks in the middle of a write is reported as an internal error.
  if (code === status.INTERNAL && /RST_STREAM|EPIPE|ECONN|ETIMEDOUT/.test(details)) {
    return 'UNAVAILABLE';
  }
  return CODES[code] ?? 'INTERNAL';
}
