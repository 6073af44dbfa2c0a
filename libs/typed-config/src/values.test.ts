import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, packages, run, seededRandom, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { jsonEnd } from './json-text.js';
import { canonicalType, TYPE_NAMES, type TypedValue, type TypeName } from './types.js';
import { parseValue, toJson, valueFault, valueWarnings } from './values.js';

test('there are gokeeper’s twenty types, json and secret', () => {
  expect(TYPE_NAMES).toHaveLength(22);
  expect(canonicalType('duration')).toBe('time.Duration');
  expect(canonicalType('toString')).toBeUndefined();
});

test.each<[TypeName, raw: string, value: TypedValue, json: string]>([
  ['string', '', '', '""'],
  ['string', ' "a" ', ' "a" ', '" \\"a\\" "'],
  ['secret', '****', '****', '"****"'],
  ['bool', 'True', true, 'true'],
  ['bool', '0', false, 'false'],
  ['int', '-007', -7, '-7'],
  ['int', '-0', 0, '0'],
  ['int', '9007199254740991', Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ['int64', '-9223372036854775808', -(2n ** 63n), '-9223372036854775808'],
  ['int64', '+9223372036854775807', 2n ** 63n - 1n, '9223372036854775807'],
  ['float64', '.5', 0.5, '0.5'],
  ['float64', '5.', 5, '5'],
  ['float64', '-1E-3', -0.001, '-0.001'],
  ['[]string', '', [''], '[""]'],
  ['[]string', 'a, b,', ['a', ' b', ''], '["a"," b",""]'],
  ['[]int', '', [], '[]'],
  ['[]int64', '1,9223372036854775807', [1n, 2n ** 63n - 1n], '[1,9223372036854775807]'],
  ['[]bool', 't,F', [true, false], '[true,false]'],
  [
    'map[string]string',
    'a:b:c,:',
    new Map([
      ['a', 'b:c'],
      ['', ''],
    ]),
    '{"a":"b:c","":""}',
  ],
  ['map[string]string', 'a:1,a:2', new Map([['a', '2']]), '{"a":"2"}'],
  ['map[int]int', '+1:-2', new Map([[1, -2]]), '{"1":-2}'],
  [
    'map[string]bool',
    'a,b:false',
    new Map([
      ['a', true],
      ['b', false],
    ]),
    '{"a":true,"b":false}',
  ],
  [
    'map[string][]string',
    'k:a,b;l:',
    new Map([
      ['k', ['a', 'b']],
      ['l', ['']],
    ]),
    '{"k":["a","b"],"l":[""]}',
  ],
  ['map[string]struct{}', 'a,a', new Set(['a']), '{"a":{}}'],
  ['map[int]struct{}', '7,007', new Set([7]), '{"7":{}}'],
  ['time.Duration', '1h30m', 5_400_000_000_000n, '5400000000000'],
  ['time.Duration', '-1.5us', -1500n, '-1500'],
  ['json', ' {"a": 1} ', { a: 1 }, '{"a": 1}'],
  ['json', '', null, 'null'],
  ['json', '12345678901234567890', 12345678901234567000, '12345678901234567890'],
])('%s %j', (type, raw, value, json) => {
  expect(parseValue(type, raw)).toEqual(value);
  expect(toJson(type, raw)).toBe(json);
});

test.each<[TypeName, raw: string, message: string]>([
  ['bool', 'yes', '"yes" is not a bool; true or false'],
  ['bool', '', '"" is not a bool; true or false'],
  ['int', '1_000', '"1_000" is not an int, e.g. 8 or -1'],
  ['int', '9007199254740992', '"9007199254740992" is beyond ±9007199254740991; make it an int64'],
  ['int64', '9223372036854775808', '"9223372036854775808" is beyond the 64 bits of an int64'],
  ['float64', 'inf', '"inf" cannot be written as JSON'],
  ['float64', '1e400', '"1e400" is too large for a float64'],
  ['float64', '', '"" is not a float64, e.g. 0.5 or 1e3'],
  ['[]int', '1, 2', '" 2" is not an int, e.g. 8 or -1'],
  ['map[string]int', 'a', `"a" has no ':' between key and value`],
  ['map[string][]string', 'a:1;', `"" has no ':' between key and value`],
  ['time.Duration', '30', '"30" has no unit; write 30s or 30ms'],
  ['time.Duration', '1d', '"1d" is not a duration, e.g. 300ms, 10s or 1h30m'],
  ['time.Duration', '', '"" is not a duration, e.g. 300ms, 10s or 1h30m'],
  ['time.Duration', '300000h1h1h99999999h', 'is beyond the 292 years of a duration'],
  ['json', '{"a":1,}', 'not JSON: line 1, column 8: this is not expected'],
  ['json', '{"a":\n  tru}', 'not JSON: line 2, column 3: this is not expected'],
  ['json', '[1', 'not JSON: line 1, column 3: the text ends too early'],
  ['json', '1 2', 'not JSON: line 1, column 3: this is not expected'],
  ['string', 'a\0', 'a value has no NUL in it'],
  ['string', '\ud800', 'a value is well-formed Unicode'],
])('%s %j is refused', (type, raw, message) => {
  expect(valueFault(type, raw)).toContain(message);
});

test('what gokeeper skips or takes for a key is told', () => {
  expect(valueWarnings('map[string]bool', 'a,b:1,c:x')).toEqual([
    '"c:x" is not key:bool, so the key "c:x" is true',
  ]);
  expect(valueWarnings('map[int]bool', '1,a')).toEqual([
    '"a" is not int or int:bool and is left out',
  ]);
  expect(valueWarnings('string', 'a:b')).toEqual([]);
});

test('where a JSON value ends is where JSON.parse says it does', () => {
  const random = seededRandom(3);
  const parts = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"\\u00e9\\n"',
    '1',
    '-0.5e3',
    'true',
    ' ',
    '"',
    '\\',
    '01',
  ];
  for (let round = 0; round < 50_000; round += 1) {
    const text = Array.from(
      { length: random() * 9 },
      () => parts[Math.floor(random() * parts.length)],
    ).join('');
    const end = jsonEnd(text, 0);
    const isWhole = end !== undefined && text.slice(end).trim() === '';
    expect([text, isWhole]).toEqual([text, isJson(text)]);
  }
});

test('a JSON text of a megabyte, or very deep, is no trouble', () => {
  const long = JSON.stringify({ text: 'x\\"'.repeat(350_000) });
  expect(jsonEnd(`${long} # end`, 0)).toBe(long.length);
  const deep = '['.repeat(200_000);
  expect(valueFault('json', deep)).toContain('the text ends too early');
});

/** Prints what Go's own parsers make of the lines of its input. */
const GO = `package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		b, boolErr := strconv.ParseBool(lines.Text())
		i, intErr := strconv.ParseInt(lines.Text(), 10, 64)
		f, floatErr := strconv.ParseFloat(lines.Text(), 64)
		d, durationErr := time.ParseDuration(lines.Text())
		fmt.Println(said(b, boolErr), said(i, intErr), said(strconv.FormatFloat(f, 'e', -1, 64), floatErr), said(int64(d), durationErr))
	}
}

func said(v interface{}, err error) string {
	if err != nil {
		return "-"
	}
	return fmt.Sprint(v)
}
`;

needs(test, await packages.golang())('Go reads scalars and durations alike', async () => {
  const random = seededRandom(11);
  const parts = [
    ...'0123456789.+-',
    'e',
    'ns',
    'us',
    'µs',
    'ms',
    's',
    'm',
    'h',
    't',
    'true',
    'False',
    '1.5',
  ];
  const texts = Array.from({ length: 4_000 }, () =>
    Array.from({ length: 1 + random() * 5 }, () => parts[Math.floor(random() * parts.length)]).join(
      '',
    ),
  );
  const folder = tempDir('go-values');
  writeFileSync(join(folder, 'main.go'), GO);
  const { stdout, stderr } = await run('go', ['run', join(folder, 'main.go')], {
    input: texts.join('\n'),
    timeoutMs: 300_000,
  });
  expect(stderr).toBe('');
  const theirs = stdout.trim().split('\n');
  expect(theirs).toHaveLength(texts.length);
  for (const [index, text] of texts.entries()) {
    expect(`${text}: ${goLine(text)}`).toBe(`${text}: ${theirs[index]}`);
  }
});

function goLine(text: string): string {
  const said = (type: TypeName, show: (value: unknown) => string = String) =>
    valueFault(type, text) === undefined ? show(parseValue(type, text)) : '-';
  return [said('bool'), said('int64'), said('float64', goFloat), said('time.Duration')].join(' ');
}

function goFloat(value: unknown): string {
  const sign = Object.is(value, -0) ? '-' : '';
  return (
    sign +
    Number(value)
      .toExponential()
      .replace(/e([+-])(\d)$/, 'e$10$2')
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
