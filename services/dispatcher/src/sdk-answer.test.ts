import { common } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { judge, judgePing, type SdkAnswer } from './sdk-answer.js';

const { CRASH, DEAD, DONE, RELEASE, RETRY } = common.OutcomeKind;
const NOW = Date.UTC(2030, 0, 1);

function answer(
  headers: Record<string, string>,
  { status = 200, body = '', stderr = '' } = {},
): SdkAnswer {
  return { status, body, stderr, header: (name) => headers[name] };
}

test.each([
  ['Code 200', answer({ code: '200' }), { kind: DONE }],
  ['Code 200 with warnings', answer({ code: '200' }, { stderr: 'PHP Warning: x' }), { kind: DONE }],
  ['Code 500', answer({ code: '500' }, { body: 'no' }), { kind: RETRY, errorCode: '500' }],
  ['an Error-Code', answer({ code: '500', 'error-code': '17' }), { errorCode: '17' }],
  ['Error-Code 0', answer({ code: '500', 'error-code': '0' }), { errorCode: '500' }],
  ['Code 404', answer({ code: '404' }), { kind: RETRY, unknownTopic: true }],
  ['no Code', answer({}, { status: 404 }), { kind: RETRY, errorCode: 'NO_CODE' }],
  ['a late 500', answer({ code: '200' }, { status: 500 }), { kind: RETRY, errorCode: 'DIED' }],
  [
    'a late uncaught exception',
    answer({ code: '200' }, { stderr: 'PHP message: PHP Fatal error:  Uncaught Exception: no' }),
    { kind: RETRY, errorCode: 'DIED' },
  ],
  [
    'out of memory',
    answer({}, { status: 500, stderr: 'PHP Fatal error:  Allowed memory size exhausted' }),
    { kind: CRASH, errorCode: 'FATAL' },
  ],
  ['outcome done', answer({ 'malabar-outcome': 'Done' }), { kind: DONE }],
  ['outcome dead', answer({ 'malabar-outcome': 'dead', code: '200' }), { kind: DEAD }],
  ['outcome crash', answer({ 'malabar-outcome': 'crash' }, { body: 'lost' }), { kind: CRASH }],
  [
    'outcome retry later',
    answer({ 'malabar-outcome': 'retry', 'retry-after': '1.5' }),
    { kind: RETRY, retryAfterMs: 1500 },
  ],
  [
    'a date to retry after',
    answer({ code: '500', 'retry-after': new Date(NOW + 60_000).toUTCString() }),
    { retryAfterMs: 60_000 },
  ],
  [
    'a date gone by',
    answer({ code: '500', 'retry-after': new Date(0).toUTCString() }),
    { retryAfterMs: 0 },
  ],
  ['nonsense to retry after', answer({ code: '500', 'retry-after': 'soon' }), { retryAfterMs: 0 }],
  ['centuries', answer({ code: '500', 'retry-after': '1e99' }), { retryAfterMs: 0 }],
  ['outcome release', answer({ 'malabar-outcome': 'release' }), { kind: RELEASE }],
  ['an unknown outcome', answer({ 'malabar-outcome': 'ok' }), { errorCode: 'BAD_ANSWER' }],
])('%s is judged', (_name, given, verdict) => {
  expect(judge(given, NOW)).toMatchObject(verdict);
});

test("the consumer's words are kept up to 16 KiB, body and STDERR both", () => {
  const verdict = judge(
    answer({ code: '500' }, { body: '\u961f'.repeat(10_000), stderr: 'e'.repeat(30_000) }),
    NOW,
  );
  expect(Buffer.byteLength(verdict.error)).toBeLessThanOrEqual(16 * 1024);
  expect(verdict.error).toMatch(/^\u961f{2730}\ne{8191}$/u);
});

test('a ping without a Code header says what came instead', () => {
  expect(judgePing(answer({}, { status: 404, stderr: 'Primary script unknown' }), 'q/t')).toBe(
    'ping: no Code header (HTTP status 404): Primary script unknown',
  );
});
