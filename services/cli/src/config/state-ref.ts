import type { config } from '@malabar/contracts';
import { CommandError, EXIT } from '../exit.js';

/** What `parseState` reads, for helps. */
export const STATES = 'a release number, `draft`, `canary`, `current` or `empty`';

/** The state of a domain that a word names: `4`, `draft`, `canary`, `current`, `empty`. */
export function parseState(text: string): config.StateRef {
  if (text === 'draft' || text === 'canary' || text === 'empty') {
    return { state: { $case: text, value: true } };
  }
  if (text === 'current') return { state: { $case: 'release', value: 0 } };
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) {
    return { state: { $case: 'release', value } };
  }
  throw new CommandError(EXIT.usage, `'${text}' is no state of a domain`, `say ${STATES}`);
}

/** A state as people say it. */
export function stateText({ state }: config.StateRef): string {
  if (state === undefined) return 'current';
  if (state.$case !== 'release') return state.$case;
  return state.value === 0 ? 'current' : `release ${state.value}`;
}
