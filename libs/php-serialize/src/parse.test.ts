import { expect, test } from 'vitest';
import { type PhpLimits, PhpSerializeError, parsePhpSerialized } from './index.js';

const parse = (text: string, limits?: Partial<PhpLimits>) =>
  parsePhpSerialized(Buffer.from(text), limits);

/** What is wrong with the bytes, and where. */
function fault(text: string | Uint8Array, limits?: Partial<PhpLimits>): [string, number] {
  try {
    const value = parsePhpSerialized(Buffer.from(text), limits);
    throw new Error(`${JSON.stringify(value)} was taken`);
  } catch (error) {
    if (!(error instanceof PhpSerializeError)) throw error;
    expect(error.message).toBe(
      `PHP-serialized: ${error.message.slice(16, error.message.lastIndexOf(', at byte'))}, at byte ${error.offset}`,
    );
    return [error.message.slice(16, error.message.lastIndexOf(', at byte')), error.offset];
  }
}

test.each([
  ['N;', null],
  ['b:1;', true],
  ['b:0;', false],
  ['i:0;', 0],
  ['i:-0;', 0],
  ['i:-42;', -42],
  ['i:9007199254740991;', 9007199254740991],
  ['d:0.1;', 0.1],
  ['d:-1.0E-7;', -1e-7],
  ['d:1.0E+25;', 1e25],
  ['d:3;', 3],
  ['s:0:"";', ''],
  ['s:5:"a"b;c";', 'a"b;c'],
  ['s:6:"日本";', '日本'],
  ['s:4:"💥";', '💥'],
  ['a:0:{}', []],
  ['a:2:{i:0;s:1:"x";i:1;N;}', ['x', null]],
  ['a:2:{i:1;i:1;i:0;i:0;}', { 0: 0, 1: 1 }],
  ['a:2:{i:0;i:1;s:1:"k";i:2;}', { 0: 1, k: 2 }],
  ['a:1:{s:4:"etime";i:1;}'.replace('4', '5'), { etime: 1 }],
  ['a:1:{i:-3;a:1:{i:0;b:1;}}', { '-3': [true] }],
  ['a:1:{s:0:"";i:1;}', { '': 1 }],
  ['a:2:{s:11:"constructor";i:1;s:8:"toString";i:2;}', { constructor: 1, toString: 2 }],
])('%s is %j', (text, value) => {
  expect(parse(text)).toEqual(value);
});

test.each([
  ['', 'the bytes end in the middle of a value', 0],
  ['N', 'the bytes end in the middle of a value', 1],
  ['i:1', 'the bytes end in the middle of a value', 3],
  ['s:3:"ab', 'a length of 3 where 2 follow', 2],
  ['s:2:"ab', 'the bytes end in the middle of a value', 7],
  ['a:1:{i:0;i:1;', 'the bytes end in the middle of a value', 13],
  ['N;N;', '2 bytes behind the value', 2],
  ['i:1;\n', '1 bytes behind the value', 4],
  ['x:1;', 'no type is "x"', 0],
  ['S:1:"\\61";', 'no type is "S"', 0],
  ['b:2;', '"2" is no boolean', 2],
  ['i:1.5;', '"1.5" is no integer', 2],
  ['i:;', '"" is no integer', 2],
  ['i:9007199254740992;', 'integer 9007199254740992 is beyond 2^53 and would lose digits', 2],
  [
    'i:-9223372036854775808;',
    'integer -9223372036854775808 is beyond 2^53 and would lose digits',
    2,
  ],
  ['d:INF;', '"INF" has no place in JSON', 2],
  ['d:-INF;', '"-INF" has no place in JSON', 2],
  ['d:NAN;', '"NAN" has no place in JSON', 2],
  ['d:1e999;', '"1e999" has no place in JSON', 2],
  ['d:0x10;', '"0x10" is no double', 2],
  [`i:${'1'.repeat(600)};`, 'a number without end', 2],
  ['s:-1:"";', 'negative length -1', 2],
  ['s:1e3:"";', '"1e3" is no length', 2],
  ['s:99999999999:"";', '"99999999999" is no length', 2],
  ['s:3:"abcd";', 'a string that is not 3 bytes long', 2],
  ['s:3:"ab";', 'a string that is not 3 bytes long', 2],
  ['s:2:"ab"x', '";" expected', 8],
  ['a:-1:{}', 'negative length -1', 2],
  ['a:1:{}', '1 elements in 2 bytes', 2],
  ['a:1000000000:{i:0;i:0;}', '1000000000 elements in 10 bytes', 2],
  ['a:1:{i:0;N;i:1;N;}', '"}" expected', 11],
  ['a:1:{b:1;i:0;}', 'a key is an integer or a string, not "b"', 5],
  ['a:2:{i:7;N;i:7;N;}', 'key "7" a second time', 11],
  ['a:2:{i:7;N;s:1:"7";N;}', 'key "7" a second time', 11],
  ['a:2:{i:0;N;s:1:"0";N;}', 'key "0" a second time', 11],
  ['a:1:{s:9:"__proto__";a:1:{s:1:"x";i:1;}}', 'a key __proto__', 5],
  ['a:2:{i:0;i:5;i:1;R:2;}', 'a reference to another value', 17],
  ['a:1:{i:0;r:1;}', 'a reference to another value', 9],
  ['O:4:"Evil":0:{}', 'an object of class "Evil"', 0],
  ['a:1:{i:0;O:9:"App\\Chain":0:{}}', 'an object of class "App\\\\Chain"', 9],
  ['C:11:"ArrayObject":0:{}', 'an object with a format of its own, of class "ArrayObject"', 0],
  ['E:11:"Suit:Hearts";', 'the enum case "Suit:Hearts"', 0],
])('%s is refused: %s, at byte %i', (text, reason, offset) => {
  expect(fault(text)).toEqual([reason, offset]);
});

test('bytes that are not UTF-8 are refused, and no half of a character is taken', () => {
  expect(fault(Buffer.from('s:2:"\xc4\xe3";', 'latin1'))).toEqual([
    'a string that is not UTF-8',
    5,
  ]);
  expect(fault('s:2:"日";')).toEqual(['a string that is not UTF-8', 5]);
  expect(parsePhpSerialized(Buffer.from('xxs:1:"y";xx').subarray(2, 10))).toBe('y');
});

test('a named class becomes a map without visibility, beside its class', () => {
  const task =
    'O:10:"Ebats\\Task":3:{s:2:"id";i:7;s:7:"\0*\0name";s:1:"n";s:17:"\0Ebats\\Task\0topic";s:1:"t";}';
  const taken = { __class: 'Ebats\\Task', id: 7, name: 'n', topic: 't' };
  expect(parse(task, { classes: ['ebats\\TASK'] })).toEqual(taken);
  expect(parse(`a:1:{s:4:"body";${task}}`, { classes: ['\\Ebats\\Task'] })).toEqual({
    body: taken,
  });
  expect(fault(task, { classes: ['Task'] })).toEqual(['an object of class "Ebats\\\\Task"', 0]);
});

test('an object may neither hide its class nor have two properties of one name', () => {
  const classes = ['T'];
  expect(fault('O:1:"T":1:{s:7:"__class";s:1:"U";}', { classes })).toEqual([
    'key "__class" a second time',
    11,
  ]);
  expect(fault('O:1:"T":2:{s:1:"a";N;s:4:"\0*\0a";N;}', { classes })).toEqual([
    'key "a" a second time',
    21,
  ]);
  expect(fault('O:1:"T":1:{s:12:"\0*\0__proto__";N;}', { classes })[0]).toBe('a key __proto__');
});

test('depth, elements and bytes are bounded', () => {
  const nested = (depth: number) => `${'a:1:{i:0;'.repeat(depth)}N;${'}'.repeat(depth)}`;
  expect(parse(nested(2), { depthMax: 2 })).toEqual([[null]]);
  expect(fault(nested(3), { depthMax: 2 })).toEqual(['deeper than 2', 18]);
  expect(fault(nested(100_000))).toEqual(['deeper than 128', 128 * 9]);
  expect(JSON.stringify(parse(nested(1000), { depthMax: 1000 }))).toHaveLength(2004);
  expect(() => parse('N;', { depthMax: 1001 })).toThrow('depthMax is at most 1000');
  const pairs = 'a:2:{i:0;a:1:{i:0;N;}i:1;N;}';
  expect(parse(pairs, { elementsMax: 3 })).toEqual([[null], null]);
  expect(fault(pairs, { elementsMax: 2 })).toEqual(['more than 2 elements', 11]);
  expect(fault('s:4:"abcd";', { bytesMax: 10 })).toEqual(['11 bytes, 10 allowed', 10]);
});

test('a million elements are taken, one more is refused before it is read', () => {
  const list = (count: number) =>
    `a:${count}:{${Array.from({ length: count }, (_, i) => `i:${i};N;`).join('')}}`;
  expect(parse(list(1_000_000))).toHaveLength(1_000_000);
  expect(fault(list(1_000_001))).toEqual(['more than 1000000 elements', 2]);
});

test('a million keys of any form are read: a quadratic parser would not see the end', () => {
  const keys = [(i: number) => `s:${`k${i}`.length}:"k${i}";`, (i: number) => `i:${i * 1021 + 5};`];
  for (const key of keys) {
    const body = Array.from({ length: 1_000_000 }, (_, i) => `${key(i)}N;`).join('');
    const value = parse(`a:1000000:{${body}}`, { bytesMax: 64 * 1024 * 1024 });
    expect(Object.keys(value as object)).toHaveLength(1_000_000);
  }
});
