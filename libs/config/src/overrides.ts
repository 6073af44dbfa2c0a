import { parse } from 'yaml';
import type { ConfigFault, KeyFault } from './faults.js';
import { outline } from './outline.js';
import type { Environment } from './secret.js';
import { settingsSchema } from './settings.js';
import { suggestion } from './suggestion.js';

/** One setting from outside of the file. */
interface Override {
  path: string[];
  value: unknown;
  /** `environment` or `--set`. */
  source: string;
  /** What the user wrote: the variable or the key. */
  name: string;
}

/** Settings from the environment or from flags, and what is wrong with their names. */
export interface Overrides {
  found: Override[];
  faults: ConfigFault[];
}

// What the `malabar` command reads itself, to find a bus or another system; no setting of a process.
const COMMAND_VARIABLES = [
  'MALABAR_ADDRESS',
  'MALABAR_ETCD_PASSWORD',
  'MALABAR_ETCD_USER',
  'MALABAR_PASSWORD',
  'MALABAR_TOKEN',
];

/** The variable of a setting: `storage.bytes_max` is MALABAR_STORAGE_BYTES_MAX. */
export function variableOf(path: readonly string[]): string {
  return `MALABAR_${path.join('_').toUpperCase()}`;
}

/** Every MALABAR_* variable. An empty one counts as not set; an unknown one is a fault. */
export function fromEnvironment(env: Environment): Overrides {
  const paths = new Map(outline(settingsSchema).map(({ path }) => [variableOf(path), path]));
  const overrides: Overrides = { found: [], faults: [] };
  for (const [name, value] of Object.entries(env)) {
    const ours = name.startsWith('MALABAR_') && !COMMAND_VARIABLES.includes(name);
    if (!ours || value === undefined || value === '') continue;
    const path = paths.get(name);
    const message = `unknown variable${suggestion(name, paths.keys(), 'MALABAR_')}`;
    if (path === undefined) overrides.faults.push(outside('environment', name, message));
    else overrides.found.push({ path, value: overrideValue(value), source: 'environment', name });
  }
  return overrides;
}

/** `--set key=value`, by key as the file spells it. */
export function fromFlags(flags: Readonly<Record<string, string>>): Overrides {
  const paths = new Map(outline(settingsSchema).map(({ path }) => [path.join('.'), path]));
  const overrides: Overrides = { found: [], faults: [] };
  for (const [name, value] of Object.entries(flags)) {
    const path = paths.get(name);
    const message = `unknown setting${suggestion(name, paths.keys())}`;
    if (path === undefined) overrides.faults.push(outside('--set', name, message));
    else overrides.found.push({ path, value: overrideValue(value), source: '--set', name });
  }
  return overrides;
}

/** Puts overrides over values of a file; the later one wins. */
export function applied(
  values: Record<string, unknown>,
  overrides: readonly Override[],
): Record<string, unknown> {
  const result = structuredClone(values);
  for (const { path, value } of overrides) put(result, path, value);
  return result;
}

/** The fault of a value that came from outside of the file, undefined if it came from there. */
export function overrideFault(
  { path, message }: KeyFault,
  overrides: readonly Override[],
): ConfigFault | undefined {
  const origin = overrides.findLast((one) => one.path.every((key, index) => path[index] === key));
  return origin && outside(origin.source, origin.name, message);
}

function outside(file: string, key: string, message: string): ConfigFault {
  return { file, line: 0, column: 0, key, message };
}

// Lists and { secret: ... } can be written as in the file; everything else is the text itself.
function overrideValue(text: string): unknown {
  if (!/^[{[]/.test(text)) return text;
  // A listen address such as [::1]:6380 is no list.
  try {
    return parse(text);
  } catch {
    return text;
  }
}

function put(values: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let parent = values;
  for (const key of path.slice(0, -1)) {
    parent[key] ??= {};
    // A fault of the file, which the schema names.
    if (typeof parent[key] !== 'object') return;
    parent = parent[key] as Record<string, unknown>;
  }
  parent[path.at(-1) as string] = value;
}
