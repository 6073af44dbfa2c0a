import { expect, test } from 'vitest';
import { defaultRequestLimits } from './limits.js';
import { RequestParser } from './request-parser.js';

const limits = { ...defaultRequestLimits, bulkBytesMax: 100, skipBytesMax: 1000 };

function parse(input: string | Buffer, splitAt?: number, over = {}) {
  const bytes = typeof input === 'string' ? Buffer.from(input, 'latin1') : input;
  const parser = new RequestParser({ ...limits, ...over });
  const commands: string[][] = [];
  const oversize: number[] = [];
  const parts = splitAt === undefined ? [bytes] : [];
  for (let at = 0; splitAt !== undefined && at < bytes.length; at += splitAt) {
    parts.push(Buffer.from(bytes.subarray(at, at + splitAt)));
  }
  for (const part of parts) {
    parser.feed(part);
    while (parser.next()) {
      commands.push(
        Array.from({ length: parser.count }, (_, i) => parser.argument(i).toString('latin1')),
      );
      oversize.push(parser.oversizeBytes);
    }
  }
  return { commands, oversize, error: parser.protocolError, parser };
}

const command = (...args: string[]) =>
  `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;

test('a pipeline is read in place, command by command', () => {
  const { commands, error } = parse(command('LPUSH', 'q', 'a\r\n\0ÿ') + command('PING'));
  expect(commands).toEqual([['LPUSH', 'q', 'a\r\n\0ÿ'], ['PING']]);
  expect(error).toBeUndefined();
});

test('the result does not depend on where the chunks are split', () => {
  const input = `${command('LPUSH', 'q', 'x'.repeat(99), '')}PING\r\n*0\r\n*-1\r\n\r\n${command('A')}`;
  const whole = parse(input);
  for (let size = 1; size < input.length; size++) {
    expect(parse(input, size).commands).toEqual(whole.commands);
  }
  expect(whole.commands).toHaveLength(3);
});

test('inline commands know quotes and escapes as redis does', () => {
  expect(parse('SET "a b" \'it\\\'s\' "\\x41\\n\\"" x"y"\r\n').commands).toEqual([
    ['SET', 'a b', "it's", 'A\n"', 'xy'],
  ]);
  expect(parse('  PING  \n').commands).toEqual([['PING']]);
  for (const bad of ['"a', "'a", '"a"b', "'a'b"]) {
    expect(parse(`${bad}\r\n`).error).toBe('ERR Protocol error: unbalanced quotes in request');
  }
});

test('each breach of the protocol has the text that redis uses', () => {
  const errors = {
    '*x\r\n': 'invalid multibulk length',
    '*01\r\n': 'invalid multibulk length',
    '*-0\r\n': 'invalid multibulk length',
    '*99999999999\r\n': 'invalid multibulk length',
    '*9999999\r\n': 'invalid multibulk length',
    '*1\r\n$x\r\n': 'invalid bulk length',
    '*1\r\n$-1\r\n': 'invalid bulk length',
    '*1\r\n$536870912\r\n': 'invalid bulk length',
    '*1\r\n:1\r\n': "expected '$', got ':'",
    '*1\r\n$1\r\nabc': 'invalid bulk length',
    [`${'x'.repeat(70_000)}`]: 'too big inline request',
    [`${'x'.repeat(70_000)}\r\n`]: 'too big inline request',
  };
  for (const [input, text] of Object.entries(errors)) {
    for (const size of [undefined, 1, 3]) {
      const { error, commands } = parse(input, size);
      expect(error).toBe(`ERR Protocol error: ${text}`);
      expect(commands).toEqual([]);
    }
  }
});

test('commands before a breach are handed out, those behind it never', () => {
  const { commands, error } = parse(`${command('PING')}*x\r\n${command('PING')}`);
  expect(commands).toEqual([['PING']]);
  expect(error).toBeDefined();
});

test('an argument over the limit is skipped and the connection goes on', () => {
  const input = command('LPUSH', 'q', 'x'.repeat(200), 'tail') + command('PING');
  for (const size of [undefined, 1, 7, 64]) {
    const { commands, oversize, error } = parse(input, size);
    expect(commands).toEqual([['LPUSH', 'q', '', ''], ['PING']]);
    expect(oversize).toEqual([200, 0]);
    expect(error).toBeUndefined();
  }
});

test('a command whose arguments together are over the limit is skipped too', () => {
  const values = Array.from({ length: 8 }, () => 'x'.repeat(90));
  const { oversize, commands } = parse(command('LPUSH', ...values), 10, { commandBytesMax: 500 });
  expect(oversize[0]).toBeGreaterThan(500);
  expect(commands[0]?.slice(6)).toEqual(['', '', '']);
});

test('a length that is announced and not sent costs nothing', () => {
  const parser = new RequestParser({ ...defaultRequestLimits, bulkBytesMax: 600_000_000 });
  const wide = new RequestParser({
    bulkBytesMax: 600_000_000,
    commandBytesMax: 600_000_000,
    skipBytesMax: 600_000_000,
    argsMax: 10,
  });
  parser.feed(Buffer.from('*1\r\n$536870912\r\nabc'));
  expect(parser.next()).toBe(false);
  expect(parser.protocolError).toBe('ERR Protocol error: invalid bulk length');
  wide.feed(Buffer.from('*1\r\n$536870912\r\nabc'));
  expect(wide.next()).toBe(false);
  expect(wide.bufferedBytes).toBeLessThan(1024);
});

test('a big argument is gathered in a buffer that ends at its announced length', () => {
  const body = 'x'.repeat(1_000_000);
  const over = { bulkBytesMax: 2_000_000, commandBytesMax: 4_000_000 };
  const bytes = Buffer.from(command('LPUSH', 'q', body));
  const parser = new RequestParser({ ...limits, ...over });
  let largest = 0;
  for (let at = 0; at < bytes.length; at += 65_536) {
    parser.feed(bytes.subarray(at, at + 65_536));
    if (parser.next()) expect(parser.text(2)).toBe(body);
    largest = Math.max(largest, parser.bufferedBytes);
  }
  expect(parser.idle).toBe(true);
  expect(largest).toBeLessThanOrEqual(bytes.length);
});

test('a command that is gathered over chunks does not keep them', () => {
  const parser = new RequestParser(limits);
  parser.feed(Buffer.from(`${command('PING').repeat(1000)}*1\r\n$4\r\nPI`));
  while (parser.next());
  expect(parser.idle).toBe(false);
  expect(parser.bufferedBytes).toBeLessThanOrEqual(256);
});

test('thousands of empty commands in one chunk do not exhaust the stack', () => {
  expect(parse('*0\r\n'.repeat(50_000) + command('PING')).commands).toEqual([['PING']]);
});
