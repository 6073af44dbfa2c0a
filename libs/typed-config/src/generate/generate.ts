import type { config } from '@malabar/contracts';
import { generateGo } from './go.js';
import { structsOf } from './model.js';
import { generatePhp } from './php.js';
import { generatePython } from './python.js';
import type { GeneratedFile, GenerateOptions } from './source.js';
import { generateTs } from './ts.js';

/** Languages that typed access is generated for. */
export const LANGUAGES = ['ts', 'php', 'go', 'python'] as const;

export type Language = (typeof LANGUAGES)[number];

/**
 * Typed access to the values of a domain: a struct for all files of one base name, as gokeeper-cli
 * has it. A key that is missing, or has become another type, is an error that names it, unless the
 * file's schema has a default; what only some sections have may be absent, and its type says so.
 * Throws INVALID if a key has two types, or two keys would get one name.
 */
export function generate(
  language: Language,
  files: readonly config.ConfigFile[],
  options: GenerateOptions = {},
): GeneratedFile[] {
  const structs = structsOf(files);
  switch (language) {
    case 'ts':
      return generateTs(structs);
    case 'php':
      return generatePhp(structs, options);
    case 'go':
      return generateGo(structs, options);
    case 'python':
      return generatePython(structs);
  }
}
