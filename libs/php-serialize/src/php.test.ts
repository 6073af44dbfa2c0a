import { needs, packages, php, seededRandom } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { PhpSerializeError, type PhpValue, parsePhpSerialized } from './index.js';

/** What PHP writes for an expression, as bytes. */
async function serialized(expression: string): Promise<Buffer> {
  const { code, stdout, stderr } = await php([
    '-r',
    `echo base64_encode(serialize(${expression}));`,
  ]);
  if (code !== 0) throw new Error(`php: ${stderr}${stdout}`);
  return Buffer.from(stdout, 'base64');
}

/** Random values of every type, with text that looks like the format itself. */
function randomValue(random: () => number, depth = 0): PhpValue {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const text = () =>
    Array.from({ length: Math.floor(random() * 6) }, () =>
      pick(['a', '"', ';', '}', ':', 'é', '日', '💥', '\0', '\n', 'i:0;', 's:1:"']),
    ).join('');
  const kind = Math.floor(random() * (depth < 4 ? 7 : 5));
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return Math.round((random() - 0.5) * 2 ** Math.floor(random() * 54));
  if (kind === 3) return (random() - 0.5) * 10 ** Math.floor(random() * 36 - 20);
  if (kind === 4) return text();
  const count = Math.floor(random() * 5);
  const values = Array.from({ length: count }, () => randomValue(random, depth + 1));
  if (kind === 5) return values;
  return Object.fromEntries(values.map((value, i) => [`k${i}${text()}`, value]));
}

describe('fuzz', () => {
  const base = Buffer.from(
    'a:6:{s:5:"etime";i:1480000000;s:4:"body";a:3:{i:0;d:1.5;i:1;b:1;i:2;N;}i:7;s:6:"日本";' +
      'i:-1;a:1:{s:1:"x";a:0:{}}s:1:"t";O:4:"Task":1:{s:2:"id";i:1;}i:9;i:-5;}',
  );
  const alphabet = Buffer.from('0123456789-+.:;"{}aOCESsbidNRrE\0\xff__proto__', 'latin1');

  function mutated(random: () => number): Buffer {
    let bytes = Buffer.from(base);
    const below = (limit: number) => Math.floor(random() * limit);
    for (let step = below(6); step >= 0; step--) {
      const at = below(bytes.length + 1);
      const end = Math.min(bytes.length, at + below(12));
      const insert = [
        Buffer.from([alphabet[below(alphabet.length)] as number]),
        base.subarray(at, end),
        Buffer.alloc(0),
        Buffer.from('s:9:"__proto__";'),
      ][below(4)] as Buffer;
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        insert,
        bytes.subarray(random() < 0.5 ? at : end),
      ]);
    }
    return bytes;
  }

  test('mutated bodies are values or PhpSerializeErrors, and pollute nothing', () => {
    const random = seededRandom(41);
    const before = Object.getOwnPropertyNames(Object.prototype);
    const outcomes = { taken: 0, refused: 0 };
    for (let i = 0; i < 50_000; i++) {
      const bytes = mutated(random);
      try {
        const value = parsePhpSerialized(bytes, { classes: ['Task'] });
        expect(plain(value)).toBe(true);
        outcomes.taken++;
      } catch (error) {
        if (!(error instanceof PhpSerializeError)) throw error;
        expect(error.offset).toBeGreaterThanOrEqual(0);
        expect(error.offset).toBeLessThanOrEqual(bytes.length);
        outcomes.refused++;
      }
    }
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect(outcomes.taken).toBeGreaterThan(100);
    expect(outcomes.refused).toBeGreaterThan(10_000);
  });

  function plain(value: PhpValue): boolean {
    if (typeof value !== 'object' || value === null) return true;
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== (Array.isArray(value) ? Array.prototype : Object.prototype)) return false;
    return Object.values(value).every(plain);
  }
});

needs(describe, await packages.php())('what PHP itself serializes', () => {
  test.each([
    [
      "['etime' => 1480000000.25, 'body' => ['order' => 17, 'paid' => true, 'note' => null]]",
      { etime: 1480000000.25, body: { order: 17, paid: true, note: null } },
    ],
    ["['a', ['b', []], 3 => 'c']", { 0: 'a', 1: ['b', []], 3: 'c' }],
    ['[1 / 3, -0.0, PHP_INT_SIZE, 1e100]', [1 / 3, -0, 8, 1e100]],
    ['"\\u{1F4A5} \\0 \\""', '💥 \0 "'],
    ["['5' => 'five', '05' => 'text']", { 5: 'five', '05': 'text' }],
  ])('%s', async (expression, value) => {
    expect(parsePhpSerialized(await serialized(expression))).toEqual(value);
  });

  test.each([
    ['new ArrayObject([1])', 'an object of class "ArrayObject"'],
    ['(function () { $o = new stdClass; return [1, $o]; })()', 'an object of class "stdClass"'],
    ['(function () { $a = [1]; $a[] = &$a[0]; return $a; })()', 'a reference to another value'],
    ['PHP_INT_MAX', 'integer 9223372036854775807 is beyond 2^53'],
    ['[NAN]', '"NAN" has no place in JSON'],
    ['"\\xc4\\xe3"', 'a string that is not UTF-8'],
  ])('%s is refused: %s', async (expression, reason) => {
    const bytes = await serialized(expression);
    expect(() => parsePhpSerialized(bytes)).toThrow(reason);
  });

  test('an enum case, and a class that serializes itself, are refused by name', async () => {
    const { stdout } = await php([
      '-d',
      'error_reporting=0',
      '-r',
      `enum Suit { case Hearts; }
       class Old implements Serializable {
         function serialize() { return 'x'; }
         function unserialize($data) {}
       }
       echo serialize(Suit::Hearts), "\\n", serialize(new Old);`,
    ]);
    const [enumCase = '', old = ''] = stdout.split('\n');
    expect(() => parsePhpSerialized(Buffer.from(enumCase))).toThrow('the enum case "Suit:Hearts"');
    expect(() => parsePhpSerialized(Buffer.from(old))).toThrow('of class "Old"');
  });

  test("a task of the old library's shape is data when its class is named", async () => {
    const { stdout } = await php([
      '-r',
      `class Task { public $id = 7; protected $name = 'ship'; private $topic = 'order'; }
       echo base64_encode(serialize(['etime' => 1, 'body' => new Task]));`,
    ]);
    const bytes = Buffer.from(stdout, 'base64');
    expect(parsePhpSerialized(bytes, { classes: ['Task'] })).toEqual({
      etime: 1,
      body: { __class: 'Task', id: 7, name: 'ship', topic: 'order' },
    });
    expect(() => parsePhpSerialized(bytes)).toThrow('an object of class "Task"');
  });

  test('300 random values go to PHP as JSON and come back serialized as they were', async () => {
    const random = seededRandom(7);
    const values = Array.from({ length: 300 }, () => randomValue(random));
    const { stdout, stderr } = await php(
      [
        '-r',
        'foreach (json_decode(stream_get_contents(STDIN), true) as $v) echo base64_encode(serialize($v)), "\\n";',
      ],
      { input: JSON.stringify(values) },
    );
    expect(stderr).toBe('');
    const back = stdout.trim().split('\n');
    expect(back).toHaveLength(values.length);
    const same = (value: PhpValue) => JSON.parse(JSON.stringify(value), emptyMapsAsLists);
    for (const [i, line] of back.entries()) {
      const value = parsePhpSerialized(Buffer.from(line, 'base64'));
      expect(same(value)).toEqual(same(values[i] as PhpValue));
    }
  });

  /** PHP has one empty array. */
  function emptyMapsAsLists(_key: string, value: PhpValue): PhpValue {
    const empty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    return empty ? [] : value;
  }
});
