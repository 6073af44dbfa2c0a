import { BusError } from '@malabar/core';

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.:@/-]{0,199}$/;
const HOLDER = /^[\x21-\x7e]{1,200}$/;

/** Throws INVALID for what is no name of an election. */
export function checkElectionName(name: string): void {
  if (NAME.test(name)) return;
  throw new BusError(
    'INVALID',
    `${shown(name)} is no name of an election: 1 to 200 of A-Z a-z 0-9 _ . : @ / - and a letter, a digit, _ or - first`,
  );
}

/** Throws INVALID for what cannot hold one. */
export function checkHolder(holder: string): void {
  if (HOLDER.test(holder)) return;
  throw new BusError(
    'INVALID',
    `${shown(holder)} is no holder: 1 to 200 characters of ASCII, without blanks`,
  );
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 210));
}
