import { BusError, type ErrorCode } from '@malabar/core';

/** What etcd says in its messages (api/v3rpc/rpctypes/error.go) and what it means to us. */
const MEANINGS: ReadonlyArray<readonly [RegExp, ErrorCode]> = [
  [/authentication failed|user name is empty|invalid auth token|not enabled/, 'UNAUTHENTICATED'],
  [/permission denied/, 'FORBIDDEN'],
  [/request is too large|too many operations|larger than max/, 'TOO_LARGE'],
  [/space exceeded/, 'DISK_FULL'],
  [/lease not found/, 'NOT_FOUND'],
  [/corrupt/, 'CORRUPT'],
];

/** gRPC statuses after which nobody knows whether etcd has done what it was asked for. */
const UNREACHED = new Set([1, 2, 4, 8, 10, 13, 14]);
const INVALID_ARGUMENT = 3;

/** The history that was asked for is not kept any more. */
export class Compacted extends Error {
  override readonly name = 'Compacted';
}

/** A stream has ended, which says nothing about etcd: the next call will. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** What a failed call to the etcd at `address` means to others. */
export function etcdError(thrown: unknown, address: string): BusError | Compacted | Broken {
  if (thrown instanceof BusError || thrown instanceof Compacted || thrown instanceof Broken)
    return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  // grpc-js puts the status before what the server said: `14 UNAVAILABLE: No connection established`.
  const [, status, said = message] = /^(\d+) [A-Z_]+: (.*)$/s.exec(message) ?? [];
  if (/has been compacted/.test(said)) return new Compacted(said);
  const code = meaningOf(said, status === undefined ? undefined : Number(status));
  return new BusError(code, `etcd at ${address}: ${said}`, { cause: thrown });
}

function meaningOf(said: string, status: number | undefined): ErrorCode {
  const meaning = MEANINGS.find(([pattern]) => pattern.test(said));
  if (meaning !== undefined) return meaning[1];
  if (status === INVALID_ARGUMENT) return 'INVALID';
  return status === undefined || UNREACHED.has(status) ? 'UNAVAILABLE' : 'INTERNAL';
}
