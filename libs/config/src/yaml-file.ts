import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { ConfigError, type ConfigFault, type KeyFault } from './faults.js';

/** The content of a config file, and where its keys stand. */
export interface YamlFile {
  file: string;
  /** Plain values; an empty file is an empty mapping. */
  values: Record<string, unknown>;
  /** A fault of a key, with its line. A key that is missing stands where its parent stands. */
  fault(fault: KeyFault): ConfigFault;
}

/** Reads YAML 1.2. Throws a ConfigError with every fault of the syntax. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number, key: string, message: string): ConfigFault => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, key, message };
  };
  const broken = [...document.errors, ...document.warnings].map((error) =>
    at(error.pos[0], '', reasonOf(error)),
  );
  visit(document, {
    Alias(_, alias) {
      if (!alias.resolve(document)) broken.push(at(alias.range?.[0] ?? 0, '', NO_ANCHOR));
    },
    // The schema would skip it without a word.
    Pair(_, { key }) {
      if (!isScalar(key) || key.value !== '__proto__') return;
      broken.push(at(key.range?.[0] ?? 0, '', "nothing can be called '__proto__'"));
    },
  });
  if (broken.length > 0) throw new ConfigError(broken);
  const root = document.contents as Node | null;
  const fault = ({ path, message }: KeyFault): ConfigFault =>
    at(offsetOf(root, path), path.join('.'), message);
  return { file, values: valuesOf(document, root, fault), fault };
}

/** A source without a file: nothing is set, and faults have no line. */
export function noFile(): YamlFile {
  const fault = ({ path, message }: KeyFault): ConfigFault => ({
    file: 'configuration',
    line: 0,
    column: 0,
    key: path.join('.'),
    message,
  });
  return { file: '', values: {}, fault };
}

// The parser's own words would show the text, which may be a password without quotes.
const NO_ANCHOR = 'an alias without its anchor; put text that begins with * in quotes';

function reasonOf({ code, message }: YAMLError): string {
  if (code === 'TAG_RESOLVE_FAILED') return 'an unknown tag; put text that begins with ! in quotes';
  return code === 'BAD_ALIAS' ? NO_ANCHOR : message;
}

function valuesOf(
  document: { toJS(): unknown },
  root: Node | null,
  fault: (fault: KeyFault) => ConfigFault,
): Record<string, unknown> {
  if (root === null || (isScalar(root) && root.value === null)) return {};
  if (!isMap(root)) {
    throw new ConfigError([fault({ path: [], message: 'the file is not a mapping of keys' })]);
  }
  try {
    return document.toJS() as Record<string, unknown>;
  } catch {
    // Aliases that multiply each other would fill the memory; the parser counts them.
    throw new ConfigError([fault({ path: [], message: 'too many aliases of aliases' })]);
  }
}

function offsetOf(root: Node | null, path: readonly string[]): number {
  let node: Node | null = root;
  let offset = 0;
  for (const key of path) {
    const child = childOf(node, key);
    if (child === undefined) break;
    node = child.value;
    offset = child.offset;
  }
  return offset;
}

function childOf(
  node: Node | null,
  key: string,
): { value: Node | null; offset: number } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(key)] as Node | undefined;
    return item && { value: item, offset: item.range?.[0] ?? 0 };
  }
  // What an alias stands for lies elsewhere; the fault belongs to where it is used.
  if (!isMap(node) || isAlias(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
  if (pair === undefined) return undefined;
  return { value: pair.value as Node | null, offset: (pair.key as Node).range?.[0] ?? 0 };
}
