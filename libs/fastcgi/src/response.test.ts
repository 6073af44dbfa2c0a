import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { parseCgiResponse } from './response.js';

function parse(text: string) {
  const response = parseCgiResponse(Buffer.from(text));
  if (response === undefined) return undefined;
  return {
    ...response,
    headers: { ...Object.fromEntries(response.headers) },
    body: `${response.body}`,
  };
}

test('headers end at the first empty line, whether lines end in CRLF or LF', () => {
  const expected = { status: 200, headers: { code: '200', 'error-code': '0' }, body: 'a\n\nb' };
  expect(parse('Code: 200\r\nError-Code: 0\r\n\r\na\n\nb')).toEqual(expected);
  expect(parse('Code: 200\nError-Code: 0\n\na\n\nb')).toEqual(expected);
  expect(parse('Code: 200\r\nError-Code: 0\n\r\na\n\nb')).toEqual(expected);
});

test('header names are lower case, values trimmed, repeated ones joined', () => {
  expect(parse('CODE:404 \nX-A: 1\nx-a:  2\nX-Url: http://a:1/\n\n')?.headers).toEqual({
    code: '404',
    'x-a': '1, 2',
    'x-url': 'http://a:1/',
  });
});

test('the Status header gives the status; one that is no number is 200', () => {
  expect(parse('Status: 404 Not Found\n\n')?.status).toBe(404);
  expect(parse('status: 503\n\n')?.status).toBe(503);
  expect(parse('Status: fine\n\n')?.status).toBe(200);
  expect(parse('Status: 7\n\n')?.status).toBe(200);
});

test('a response without headers is a body, one without their end is none', () => {
  expect(parse('\nbody')).toEqual({ status: 200, headers: {}, body: 'body' });
  expect(parse('\r\n')).toEqual({ status: 200, headers: {}, body: '' });
  expect(parse('')).toBeUndefined();
  expect(parse('Code: 200')).toBeUndefined();
  expect(parse('Code: 200\r\nError-Code: 0\r\n')).toBeUndefined();
});

test('lines that are no header are skipped', () => {
  expect(parse('nonsense\n: none\nCode: 1\n\nx')).toMatchObject({
    headers: { code: '1' },
    body: 'x',
  });
});

test('random bytes never throw', () => {
  for (let seed = 0; seed < 5000; seed++) {
    const random = seededRandom(seed);
    const alphabet = Buffer.from('\r\n: aC\0\xff', 'latin1');
    const bytes = Array.from(
      { length: 40 },
      () => alphabet[Math.floor(random() * alphabet.length)],
    );
    parseCgiResponse(Buffer.from(bytes as number[]));
  }
});
