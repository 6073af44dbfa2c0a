import { expect, test } from 'vitest';
import { parseState, stateText } from './state-ref.js';

test('a state of a domain has a name or a number', () => {
  expect(parseState('4')).toEqual({ state: { $case: 'release', value: 4 } });
  expect(parseState('current')).toEqual({ state: { $case: 'release', value: 0 } });
  expect(parseState('draft')).toEqual({ state: { $case: 'draft', value: true } });
  expect(['4', 'current', 'draft', 'canary', 'empty'].map(parseState).map(stateText)).toEqual([
    'release 4',
    'current',
    'draft',
    'canary',
    'empty',
  ]);
});

test.each(['0', '-1', '1.5', 'Draft', '', '99999999999999999999'])('%j is no state', (text) => {
  expect(() => parseState(text)).toThrow(`'${text}' is no state of a domain`);
});
