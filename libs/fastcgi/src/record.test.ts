import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { END_REQUEST, encodeRequest, PARAMS, STDERR, STDIN, STDOUT } from './record.js';
import { RecordParser } from './record-parser.js';
import { decode, endRequest, record, type SeenRecord } from './scripted-server.suite.js';

function contentOf(records: SeenRecord[], type: number): Buffer {
  return Buffer.concat(records.filter((each) => each.type === type).map((each) => each.content));
}

/** Decodes name-value pairs (section 3.4), apart from the code under test. */
function pairs(bytes: Buffer): [string, string][] {
  const found: [string, string][] = [];
  let at = 0;
  const length = () => {
    const first = bytes.readUInt8(at);
    at += first < 128 ? 1 : 4;
    return first < 128 ? first : bytes.readUInt32BE(at - 4) & 0x7fffffff;
  };
  const text = (size: number) => {
    at += size;
    return bytes.toString('utf8', at - size, at);
  };
  while (at < bytes.length) {
    const nameBytes = length();
    const valueBytes = length();
    found.push([text(nameBytes), text(valueBytes)]);
  }
  return found;
}

test('a small request is one buffer: begin, params, stdin, each stream ended', () => {
  const pieces = encodeRequest({
    params: { SCRIPT_FILENAME: '/a.php', REQUEST_METHOD: 'POST' },
    stdin: Buffer.from('type=ping'),
    keepConnection: true,
  });
  expect(pieces).toHaveLength(1);
  const records = decode(pieces[0] as Buffer);
  expect(records.map(({ type }) => type)).toEqual([1, PARAMS, PARAMS, STDIN, STDIN]);
  expect([...(records[0]?.content ?? [])]).toEqual([0, 1, 1, 0, 0, 0, 0, 0]);
  expect(pairs(contentOf(records, PARAMS))).toEqual([
    ['SCRIPT_FILENAME', '/a.php'],
    ['REQUEST_METHOD', 'POST'],
  ]);
  expect(contentOf(records, STDIN).toString()).toBe('type=ping');
});

test('without keepConnection the flag is off', () => {
  const [bytes] = encodeRequest({ params: {}, stdin: Buffer.alloc(0), keepConnection: false });
  const records = decode(bytes as Buffer);
  expect(records.map(({ type }) => type)).toEqual([1, PARAMS, STDIN]);
  expect(records[0]?.content[2]).toBe(0);
});

test('long and multi-byte names and values keep their length', () => {
  const params = { ['N'.repeat(127)]: 'v'.repeat(128), ['é'.repeat(64)]: '漢'.repeat(9000), E: '' };
  const pieces = encodeRequest({ params, stdin: Buffer.alloc(0), keepConnection: true });
  const records = decode(Buffer.concat(pieces));
  expect(pairs(contentOf(records, PARAMS))).toEqual(Object.entries(params));
});

test('many parameters are spread over records, each pair whole, as php-fpm wants it', () => {
  const params = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`P${i}`, 'v'.repeat(9000)]),
  );
  for (const stdin of [Buffer.alloc(0), Buffer.alloc(100_000)]) {
    const records = decode(Buffer.concat(encodeRequest({ params, stdin, keepConnection: true })));
    const carriers = records.filter(({ type, content }) => type === PARAMS && content.length > 0);
    expect(carriers.length).toBeGreaterThan(4);
    const whole = carriers.flatMap(({ content }) => pairs(content));
    expect(whole).toEqual(Object.entries(params));
    expect(records.at(-1)).toMatchObject({ type: STDIN, content: Buffer.alloc(0) });
  }
});

test('a parameter that fits no record is refused with its name', () => {
  const params = { SCRIPT_FILENAME: '/a.php', HUGE: 'v'.repeat(65_535) };
  const encoding = () => encodeRequest({ params, stdin: Buffer.alloc(0), keepConnection: true });
  expect(encoding).toThrow('parameter HUGE of 65544 bytes');
});

test('bodies of any size around the limits arrive whole, large ones uncopied', () => {
  for (const size of [1, 65_400, 65_500, 65_535, 65_536, 131_070, 131_071, 3_000_001]) {
    const stdin = Buffer.alloc(size, 'abcdefg');
    const pieces = encodeRequest({ params: { A: 'b' }, stdin, keepConnection: true });
    const records = decode(Buffer.concat(pieces));
    expect(contentOf(records, STDIN).equals(stdin)).toBe(true);
    expect(records.at(-1)).toMatchObject({ type: STDIN, content: Buffer.alloc(0) });
    if (size > 65_536) expect(pieces[2]?.buffer).toBe(stdin.buffer);
  }
});

interface Parsed {
  stdout: string;
  stderr: string;
  ends: [number, number][];
  fault: string | undefined;
  atBoundary: boolean;
}

function parse(chunks: Iterable<Buffer>): Parsed {
  const parsed: Parsed = { stdout: '', stderr: '', ends: [], fault: undefined, atBoundary: true };
  const parser = new RecordParser({
    stdout: (chunk, start, end) => {
      parsed.stdout += chunk.toString('latin1', start, end);
    },
    stderr: (chunk, start, end) => {
      parsed.stderr += chunk.toString('latin1', start, end);
    },
    end: (...statuses) => parsed.ends.push(statuses),
  });
  for (const chunk of chunks) {
    parsed.fault = parser.push(chunk);
    if (parsed.fault !== undefined) break;
  }
  parsed.atBoundary = parser.atBoundary;
  return parsed;
}

function* cut(bytes: Buffer, random: () => number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + Math.floor(random() ** 3 * 40);
    yield bytes.subarray(at, end);
    at = end;
  }
}

const conversation = Buffer.concat([
  record(STDERR, 'PHP message: a warning', { padding: 2 }),
  record(11, 'a type that we do not know', { padding: 255 }),
  record(STDOUT, 'Code: 200\r\n'),
  record(STDOUT, 'of another request', { requestId: 7 }),
  record(END_REQUEST, Buffer.alloc(8), { requestId: 7 }),
  record(10, 'management', { requestId: 0 }),
  record(STDOUT, `\r\n${'x'.repeat(3000)}`, { padding: 7 }),
  record(STDOUT),
  record(END_REQUEST, Buffer.from([0, 0, 1, 2, 0, 9, 9, 9, 1, 2, 3]), { padding: 5 }),
]);

test('any cut of the bytes gives the same streams, statuses and boundary', () => {
  const whole = parse([conversation]);
  expect(whole).toEqual({
    stdout: `Code: 200\r\n\r\n${'x'.repeat(3000)}`,
    stderr: 'PHP message: a warning',
    ends: [[258, 0]],
    fault: undefined,
    atBoundary: true,
  });
  for (let seed = 0; seed < 500; seed++) {
    expect(parse(cut(conversation, seededRandom(seed)))).toEqual(whole);
  }
});

test('the end is reported only when its body and padding are read', () => {
  for (let size = 1; size <= 20; size++) {
    const short = parse([conversation.subarray(0, conversation.length - size)]);
    expect(short.ends.length).toBe(0);
    expect(short.atBoundary).toBe(size === 24);
  }
});

test('a version other than 1 and a short END_REQUEST are faults', () => {
  expect(parse([Buffer.from('HTTP/1.1 400')]).fault).toContain('version 72 instead of 1');
  expect(parse([record(END_REQUEST, 'abc')]).fault).toContain('3 bytes instead of 8');
});

test('20,000 garbled conversations neither throw nor stall the parser', () => {
  for (let seed = 0; seed < 20_000; seed++) {
    const random = seededRandom(seed);
    const bytes = Buffer.from(conversation.subarray(0, Math.floor(random() * conversation.length)));
    for (let flips = Math.floor(random() * 4); flips > 0; flips--) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    const parsed = parse(cut(bytes, random));
    expect(parsed.stdout.length).toBeLessThanOrEqual(bytes.length);
  }
});

test('random bytes neither throw nor stall the parser', () => {
  for (let seed = 0; seed < 5000; seed++) {
    const random = seededRandom(seed);
    const bytes = Buffer.from(Array.from({ length: 200 }, () => random() * 256));
    if (seed % 2 === 0) bytes[0] = 1;
    parse(cut(bytes, random));
  }
});

test('END_REQUEST as php-fpm sends it is read whole', () => {
  expect(parse([endRequest({ appStatus: 3 })])).toMatchObject({ ends: [[3, 0]], atBoundary: true });
});
