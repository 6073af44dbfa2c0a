import { expect, test } from 'vitest';
import { readEnvelope, writeEnvelope } from './envelope.js';

test.each([
  ['what we write', writeEnvelope('paid', { order: 1 }), 'paid', { order: 1 }],
  ['no parameters', '{"v":1,"event":"paid"}', 'paid', {}],
  ['an object', '{"order":1}', 'q', { order: 1 }],
  ['a list', '[1,2]', 'q', [1, 2]],
  ['a text', 'hello', 'q', { body: 'hello' }],
  ['a number', '7', 'q', { body: '7' }],
  ['null', 'null', 'q', { body: 'null' }],
  ['nothing', '', 'q', { body: '' }],
  ['an event that is no text', '{"v":1,"event":7}', 'q', { v: 1, event: 7 }],
  ['a result', '{"v":1,"event":"e","jobId":"x"}', 'q', { v: 1, event: 'e', jobId: 'x' }],
])('%s is read', (_name, body, event, params) => {
  expect(readEnvelope(Buffer.from(body as string), 'q')).toEqual({ event, params });
});

test('an envelope of another version is refused', () => {
  const body = Buffer.from('{"v":2,"event":"paid","params":{}}');
  expect(() => readEnvelope(body, 'q')).toThrow(
    'event paid has version 2; this @malabar/sdk knows 1',
  );
});
