import type { ValueFile } from '../value-files.js';

/** `{ "redis": { "timeout": 3 } }`: by the name of the file, then by key. */
export function formatJson(files: readonly ValueFile[]): string {
  const blocks = files.map(({ name, values }) => {
    const lines = values.map(({ key, json }) => `    ${JSON.stringify(key)}: ${json}`);
    return `  ${JSON.stringify(name)}: ${braces(lines, '  ')}`;
  });
  return `${braces(blocks, '')}\n`;
}

function braces(lines: readonly string[], indent: string): string {
  return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n${indent}}`;
}
