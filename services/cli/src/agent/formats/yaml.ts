import type { ValueFile, WrittenValue } from '../value-files.js';
import { floatDigits, isFloatType, rewriteJson } from './json-tokens.js';

/** What some reader of YAML takes for a boolean or for nothing. */
const SWITCH = /^(y|n|yes|no|on|off|true|false|null)$/i;

/** The same as JSON, for readers of YAML 1.1 and 1.2: one line a value, in flow style. */
export function formatYaml(files: readonly ValueFile[]): string {
  if (files.length === 0) return '{}\n';
  return files.map(fileBlock).join('');
}

function fileBlock({ name, values }: ValueFile): string {
  if (values.length === 0) return `${word(name)}: {}\n`;
  const lines = values.map((value) => `  ${word(value.key)}: ${flow(value)}\n`);
  return `${word(name)}:\n${lines.join('')}`;
}

/** A name without quotes where no reader takes it for anything else. */
function word(name: string): string {
  return /^[A-Za-z_][\w.-]*$/.test(name) && !SWITCH.test(name) ? name : scalar(name);
}

function flow({ type, json }: WrittenValue): string {
  const isFloat = isFloatType(type);
  return rewriteJson(json, {
    text: scalar,
    number: (digits) => plainNumber(isFloat ? floatDigits(digits) : digits),
    mark: (mark) => (mark === ':' || mark === ',' ? `${mark} ` : mark),
  });
}

// Text always stands in quotes: `on`, `1e3` or `~` mean something else to one reader or another.
function scalar(text: string): string {
  return JSON.stringify(text).replaceAll(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, escaped);
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** YAML 1.1 takes `1e3` for text: it wants a point before the exponent and a sign in it. */
function plainNumber(digits: string): string {
  const [mantissa = '', exponent] = digits.split(/[eE]/);
  if (exponent === undefined) return digits;
  return `${floatDigits(mantissa)}e${/^[+-]/.test(exponent) ? '' : '+'}${exponent}`;
}
