import type { ValueFile, WrittenValue } from '../value-files.js';
import { floatDigits, isFloatType, rewriteJson } from './json-tokens.js';

const MARKS: Record<string, string> = { '{': '[', '}': ']', ':': ' => ', ',': ', ' };

/**
 * A PHP file that returns the values: `(require '/run/app/redis.php')['redis']['timeout']`. All of it
 * is constant, so opcache keeps the array itself in shared memory and `require` costs next to nothing.
 */
export function formatPhp(files: readonly ValueFile[]): string {
  const blocks = files.map(({ name, values }) => {
    const lines = values.map((value) => `        ${literal(value.key)} => ${php(value)},\n`);
    return `    ${literal(name)} => [\n${lines.join('')}    ],\n`;
  });
  return `<?php\n\nreturn [\n${blocks.join('')}];\n`;
}

function php({ type, json }: WrittenValue): string {
  const isFloat = isFloatType(type);
  return rewriteJson(json, {
    text: literal,
    number: (digits) => integerLeast(isFloat ? floatDigits(digits) : digits),
    mark: (mark) => MARKS[mark] ?? mark,
  });
}

/** PHP reads a single-quoted text as it is, but for the quote and the backslash. */
function literal(text: string): string {
  return `'${text.replaceAll(/['\\]/g, (char) => `\\${char}`)}'`;
}

/** PHP reads the least int64 as minus a number that does not fit, and that as a float. */
function integerLeast(digits: string): string {
  return digits === '-9223372036854775808' ? 'PHP_INT_MIN' : digits;
}
