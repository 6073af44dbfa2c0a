import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { memoryContext } from './context.suite.js';
import { createProgram, run } from './program.js';

function* everyCommand(command: Command, path: string[]): Generator<[string[], Command]> {
  yield [path, command];
  for (const child of command.commands) yield* everyCommand(child, [...path, child.name()]);
}

for (const [path] of everyCommand(await createProgram(memoryContext()), [])) {
  test(`malabar ${[...path, '--help'].join(' ')} explains itself with examples`, async () => {
    const context = memoryContext();
    expect(await run([...path, '--help'], context)).toBe(0);
    const text = context.terminal.lines.join('\n');
    expect(text).toContain('Usage: malabar');
    expect(text).toContain('Examples:');
    expect(context.terminal.notes).toEqual([]);
  });
}

test('the version is printed', async () => {
  const context = memoryContext();
  expect(await run(['--version'], context)).toBe(0);
  expect(context.terminal.lines).toEqual(['0.1.0']);
});

const misuses: [what: string, args: string[], line: RegExp][] = [
  ['an unknown command', ['frobnicate'], /^malabar: unknown command 'frobnicate'.*--help/],
  ['an unknown option', ['queues', '--frob'], /^malabar: unknown option '--frob'/],
  ['a missing argument', ['push'], /^malabar: missing required argument 'queue'/],
  ['an unknown service', ['start', 'ingest', 'nothing'], /no service 'nothing'; choose from /],
  ['a topic without a queue', ['jobs', 'replay', '--topic', 'x', 'id'], /--topic: 'x' is not of/],
  ['a state that is none', ['jobs', 'list', '--topic', 'a/b', '--state', 'x'], /--state: 'x'/],
  ['a replay of nothing', ['jobs', 'replay', '--topic', 'a/b'], /nothing to replay/],
  ['a bad duration', ['push', 'q', 'x', '--delay', 'soon'], /--delay: 'soon' is not a duration/],
  ['a bad setting', ['config', 'show', '--set', 'x'], /--set: 'x' is not of the form key=value/],
  ['a body and a file', ['push', 'q', 'x', '--file', 'y'], /exclude each other/],
  [
    'a file that is not there',
    ['push', 'q', '--file', '/no/such'],
    /cannot read \/no\/such: ENOENT/,
  ],
];

for (const [what, args, line] of misuses) {
  test(`${what} ends with 2 and one line on stderr`, async () => {
    const context = memoryContext();
    expect(await run(args, context)).toBe(2);
    expect(context.terminal.lines).toEqual([]);
    expect(context.terminal.notes).toHaveLength(1);
    expect(context.terminal.notes[0]).toMatch(line);
  });
}

test('a bus that is away ends with 3 and says how to start one', async () => {
  const context = memoryContext();
  expect(await run(['queues', '--address', '127.0.0.1:1'], context)).toBe(3);
  expect(context.terminal.notes).toEqual([
    'malabar: no bus answers at 127.0.0.1:1; start one with `malabar start`, or name its address with --address or MALABAR_ADDRESS',
  ]);
});
