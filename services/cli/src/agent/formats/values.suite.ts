import { type TypeName, toJson } from '@malabar/typed-config';
import type { ValueFile, WrittenValue } from '../value-files.js';

/** A value as a node gets it. */
export function value(key: string, type: TypeName, raw: string): WrittenValue {
  return { key, type, raw, json: toJson(type, raw) };
}

/** Every type, and what is hard to write in one language or another. */
export const everything: readonly ValueFile[] = [
  {
    name: 'app',
    values: [
      value('text', 'string', `it's "quoted" \\ \${x} $y #;: ~\ttab`),
      value('lines', 'string', 'one\r\ntwo\n\n  three '),
      value('odd', 'string', '\u0001\u0085\u2028\ufeff\u00e9\u{1f600}'),
      value('empty', 'string', ''),
      value('yes', 'string', 'yes'),
      value('on', 'bool', 'true'),
      value('port', 'int', '-6380'),
      value('least', 'int64', '-9223372036854775808'),
      value('most', 'int64', '9223372036854775807'),
      value('ratio', 'float64', '1e3'),
      value('small', 'float64', '1e-9'),
      value('texts', '[]string', 'a,,b c'),
      value('ids', '[]int64', '9223372036854775807,1'),
      value('ratios', '[]float64', '1,2.5'),
      value('none', '[]int', ''),
      value('city', 'map[string]string', 'jinan:sd,2:x:y'),
      value('names', 'map[int]string', '7:seven'),
      value('masters', 'map[string][]string', '0:h1:1527,h2;1:h3'),
      value('set', 'map[string]struct{}', 'a,b'),
      value('sleep', 'time.Duration', '1h30m'),
      value(
        'addr',
        'json',
        '{\n  "http": "\\u0031:\\/x", "n": [1.0, 12345678901234567890, 1E3], "z": null\n}',
      ),
      value('password', 'secret', "s3cret' => 1"),
    ],
  },
  { name: 'bare', values: [] },
  { name: 'other-1', values: [value('127.0.0.1:80', 'bool', 'false')] },
];
