import * as z from 'zod';
import {
  count,
  duration,
  type Field,
  fail,
  named,
  nameFault,
  readSecret,
  scalar,
  section,
  size,
  text,
} from './schema.js';
import type { Secret } from './secret.js';
import { parseSize, quoted } from './units.js';

/** A program that dispatchers run, as the file says it. */
export interface CommandDocument {
  /** Program and arguments; a line for the shell is `/bin/sh -c` and the line. */
  argv: string[];
  tag?: string;
  /** A node's name; absent for any. */
  on?: string;
  env: Record<string, string | Secret>;
  directory?: string;
  user?: string;
  group?: string;
  graceMs: number;
  output: number;
  doneCodes: number[];
  deadCodes: number[];
  file?: { path: string; size: number; files: number };
}

const OUTPUT_BYTES_MIN = 1024;
// Outcomes carry it, many of them in one message.
const OUTPUT_BYTES_MAX = 256 * 1024;
const ANY_NODE = 'any';

const argv = scalar('list of text', (value) => {
  if (!Array.isArray(value)) throw new TypeError(`${quoted(value)} is not a list`);
  if (value.length === 0) throw new TypeError('is empty; it is the program and its arguments');
  for (const [at, argument] of value.entries()) {
    if (typeof argument !== 'string')
      throw new TypeError(`${quoted(argument)} is not text; put it in quotes`);
    if (argument.includes('\0')) throw new TypeError('has a NUL, which no argument can have');
    if (argument === '' && at === 0) throw new TypeError('names no program');
  }
  return value as string[];
});

const codes = scalar('list of exit codes', (value) => {
  const list = Array.isArray(value) ? value : [value];
  for (const code of list) {
    if (!Number.isInteger(code) || code < 1 || code > 255)
      throw new TypeError(`${quoted(code)} is not an exit code from 1 to 255`);
  }
  return list as number[];
});

const absolutePath = scalar('absolute path', (value) => {
  if (typeof value === 'string' && /^\/[^\0]*$/.test(value)) return value;
  throw new TypeError(`${quoted(value)} is not an absolute path`);
});

const account = (what: string): Field<string> =>
  scalar('name or number', (value) => {
    const name = typeof value === 'number' ? String(value) : value;
    if (typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$/.test(name)) return name;
    throw new TypeError(`${quoted(value)} is not the name or number of a ${what}`);
  });

const tag = scalar('name', parseTag);

/** A word that dispatchers carry, so that commands find them. Throws a TypeError with the reason. */
export function parseTag(value: unknown): string {
  const fault = typeof value === 'string' ? nameFault('tag', value) : `${quoted(value)} is no name`;
  if (fault !== undefined) throw new TypeError(fault);
  return value as string;
}

const node = scalar('`any` or a node', (value) => {
  if (value === 'all')
    throw new TypeError("a queue's job goes to one dispatcher; only schedules run on all nodes");
  if (typeof value !== 'string' || value === '')
    throw new TypeError(`${quoted(value)} is not the name of a node`);
  return value === ANY_NODE ? undefined : value;
});

const variable = scalar('text or secret', (value) => {
  if (typeof value !== 'string') return readSecret(value);
  if (value.includes('\0')) throw new TypeError('has a NUL, which no variable can have');
  return value;
}) as Field<string | Secret>;

const output = scalar('size', (value) => {
  const bytes = parseSize(value);
  if (bytes >= OUTPUT_BYTES_MIN && bytes <= OUTPUT_BYTES_MAX) return bytes;
  throw new TypeError(`${quoted(value)} is not from 1KiB to 256KiB`);
});

const fields = section({
  argv: argv.optional().describe('The program and its arguments, run as they are: no shell.'),
  shell: text.optional().describe('A line for `/bin/sh -c`, instead of `argv`.'),
  tag: tag
    .optional()
    .describe('Runs only where `dispatcher.tags` has it; everywhere if not given.'),
  on: node
    .prefault(ANY_NODE)
    .describe('`any` dispatcher that carries the tag, or only the one of this node.'),
  env: named(
    'variable',
    variable.describe(
      'Text, or { secret: file:/path }; beside PATH and HOME, which the bus gives.',
    ),
  ).prefault({}),
  directory: absolutePath
    .optional()
    .describe("Where it starts; the dispatcher's folder if not given."),
  user: account('user')
    .optional()
    .describe('Whose rights it has; needs a dispatcher that is root.'),
  group: account('group').optional().describe("The user's own if not given."),
  graceMs: duration
    .prefault('10s')
    .describe('From SIGTERM to SIGKILL, at its timeout or when it is killed.'),
  output: output
    .prefault('64KiB')
    .describe('What is kept of its output: half of it from the beginning, half from the end.'),
  doneCodes: codes.optional().describe('Exit codes beside 0 that are a yes.'),
  deadCodes: codes.optional().describe('Exit codes that no retry can help.'),
  file: section({
    path: absolutePath.describe('Where all of the output goes as well; its folder exists.'),
    size: size.prefault('10MiB').describe('The file is put aside when it has grown beyond this.'),
    files: count(0, 1_000).prefault(5).describe('Files put aside that are kept.'),
  })
    .optional()
    .describe('A rotated file for the output.'),
});

/** The object form `target: { command: ... }`; a list is its `argv`. */
export const commandSchema = z
  .preprocess((value) => (Array.isArray(value) ? { argv: value } : value), fields)
  .transform((given, context): CommandDocument => {
    const { argv, shell, doneCodes = [], deadCodes = [], ...rest } = given;
    if ((argv === undefined) === (shell === undefined)) {
      return fail(context, 'needs either argv: [program, argument, ...] or shell: a line');
    }
    for (const name of Object.keys(rest.env)) checkVariable(name, context);
    const both = doneCodes.find((code) => deadCodes.includes(code));
    if (both !== undefined) fail(context, `${both} is one of done_codes too`, ['dead_codes']);
    const line = argv ?? ['/bin/sh', '-c', shell as string];
    return { ...rest, argv: line, doneCodes, deadCodes };
  }) as Field<CommandDocument>;

function checkVariable(name: string, context: z.RefinementCtx): void {
  const own = /^MALABAR_/.test(name) || name === 'TRACEPARENT';
  if (own) fail(context, 'is set by the bus itself', ['env', name]);
  else if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    fail(context, 'a name of a variable has letters, digits and _ only', ['env', name]);
}
