import { common, type keeper, records } from '@malabar/contracts';

const { DEAD, CRASH } = common.OutcomeKind;

/** Characters of an error that a delivery's record keeps; its attempts have all of it. */
export const ERROR_SUMMARY = 512;

/** A delivery, an attempt of which has failed. */
export interface Failure {
  /** Of a delivery that has failed before or had a lane otherwise. */
  before: records.EntryRecord | undefined;
  /** When its job was accepted; 0 if that is not known. */
  acceptedAtMs: number;
  outcome: common.Outcome;
}

/** The delivery's record with the failed attempt in it. */
export function recordOf(
  { before = records.EntryRecord.fromPartial({}), acceptedAtMs, outcome }: Failure,
  policy: keeper.RetryPolicy,
  now: number,
): records.EntryRecord {
  const crashes = before.crashes + (outcome.kind === CRASH ? 1 : 0);
  return {
    ...before,
    acceptedAtMs,
    sinceMs: now,
    attempts: before.attempts + 1,
    crashes,
    errorCode: outcome.errorCode,
    error: outcome.error.slice(0, ERROR_SUMMARY),
    quarantined: crashes - before.forgivenCrashes >= policy.crashesMax,
  };
}

/** How many of its attempts count. */
export const countedAttempts = (record: records.EntryRecord): number =>
  record.attempts - record.forgivenAttempts;

/** How many of its crashes count. */
export const countedCrashes = (record: records.EntryRecord | undefined): number =>
  record === undefined ? 0 : record.crashes - record.forgivenCrashes;

/** Whether a delivery that has failed so is not tried again. */
export function isExhausted(
  record: records.EntryRecord,
  { kind }: common.Outcome,
  policy: keeper.RetryPolicy,
  now: number,
): boolean {
  const { acceptedAtMs, quarantined } = record;
  if (kind === DEAD || quarantined || countedAttempts(record) >= policy.attempts) return true;
  return policy.ageMaxMs > 0 && acceptedAtMs > 0 && now - acceptedAtMs > policy.ageMaxMs;
}
