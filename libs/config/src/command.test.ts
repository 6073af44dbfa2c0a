import { expect, test } from 'vitest';
import {
  ConfigError,
  createPasswordHashes,
  documentsToFiles,
  filesToBusConfig,
  loadConfig,
  maskConfig,
  readConfig,
} from './index.js';

const file = (command: string): string =>
  `queues: { q: { topics: { t: { target: { command: ${command} } } } } }`;

/** The faults of a command, each without its place. */
function faults(command: string): string[] {
  try {
    loadConfig({ file: 'f', text: file(command) });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ key, message }) => `${key.split('.target.')[1]}: ${message}`);
  }
  return [];
}

async function target(command: string, env: Record<string, string> = {}) {
  const options = { env, hashes: createPasswordHashes() };
  const files = await documentsToFiles(readConfig({ file: 'f', text: file(command) }), options);
  return { files, target: filesToBusConfig(files).queues[0]?.topics[0]?.target };
}

test('a list is the program and its arguments; the rest has defaults', async () => {
  expect((await target('[php, /srv/work.php, ""]')).target).toEqual({
    $case: 'command',
    value: {
      argv: ['php', '/srv/work.php', ''],
      tag: '',
      node: '',
      env: {},
      directory: '',
      user: '',
      group: '',
      graceMs: 10_000,
      outputBytesMax: 64 * 1024,
      doneCodes: [],
      deadCodes: [],
      file: undefined,
    },
  });
});

test('a line for the shell is run by /bin/sh', async () => {
  const { target: found } = await target('{ shell: "date; exit 3", tag: batch, on: any }');
  expect(found).toMatchObject({
    value: { argv: ['/bin/sh', '-c', 'date; exit 3'], tag: 'batch', node: '' },
  });
});

test('a variable that is a secret is kept apart from the document, one that is text is not', async () => {
  const env = 'env: { MODE: fast, password: { secret: env:DB } }';
  const { files, target: found } = await target(`{ argv: [php], ${env} }`, { DB: 'tell nobody' });
  expect(found).toMatchObject({ value: { env: { MODE: 'fast', password: 'tell nobody' } } });
  const [document, secret] = files[0]?.sections[0]?.entries ?? [];
  expect(document?.raw).toContain('"MODE":"fast"');
  expect(document?.raw).not.toContain('nobody');
  expect(secret).toEqual({ key: 't:env:password', type: 'secret', raw: 'tell nobody' });
});

test('the effective configuration can be written back', () => {
  const text = file('{ shell: date, on: web-1, output: 128KiB, file: { path: /x, size: 2MiB } }');
  const { queues } = maskConfig(loadConfig({ file: 'f', text })) as { queues: unknown };
  expect(queues).toMatchObject({
    q: {
      topics: {
        t: {
          concurrency: 1,
          target: {
            command: {
              argv: ['/bin/sh', '-c', 'date'],
              on: 'web-1',
              grace: '10s',
              output: '128KiB',
              file: { path: '/x', size: '2MiB', files: 5 },
            },
          },
        },
      },
    },
  });
});

test.each([
  ['php work.php', "command: 'php work.php' is not a mapping of keys"],
  ['{}', 'command: needs either argv: [program, argument, ...] or shell: a line'],
  [
    '{ argv: [a], shell: b }',
    'command: needs either argv: [program, argument, ...] or shell: a line',
  ],
  ['[]', 'command.argv: is empty; it is the program and its arguments'],
  ['[sleep, 5]', "command.argv: '5' is not text; put it in quotes"],
  ['[""]', 'command.argv: names no program'],
  ['["a\\0b"]', 'command.argv: has a NUL, which no argument can have'],
  ['{ argv: [a], tag: "a b" }', 'command.tag: a name of a tag has only letters, digits, _ . -'],
  ['{ argv: [a], tag: [x] }', 'command.tag: a list is no name'],
  [
    '{ argv: [a], on: all }',
    "command.on: a queue's job goes to one dispatcher; only schedules run on all nodes",
  ],
  ['{ argv: [a], env: { MALABAR_X: a } }', 'command.env.MALABAR_X: is set by the bus itself'],
  ['{ argv: [a], env: { TRACEPARENT: a } }', 'command.env.TRACEPARENT: is set by the bus itself'],
  [
    '{ argv: [a], env: { a-b: c } }',
    'command.env.a-b: a name of a variable has letters, digits and _ only',
  ],
  [
    '{ argv: [a], env: { N: 4 } }',
    'command.env.N: is read by YAML as something else than text; put it in quotes',
  ],
  ['{ argv: [a], directory: work }', "command.directory: 'work' is not an absolute path"],
  ['{ argv: [a], user: "a b" }', "command.user: 'a b' is not the name or number of a user"],
  ['{ argv: [a], output: 12 }', "command.output: '12' is not from 1KiB to 256KiB"],
  ['{ argv: [a], done_codes: [0] }', "command.done_codes: '0' is not an exit code from 1 to 255"],
  ['{ argv: [a], dead_codes: 256 }', "command.dead_codes: '256' is not an exit code from 1 to 255"],
  [
    '{ argv: [a], done_codes: 3, dead_codes: [3] }',
    'command.dead_codes: 3 is one of done_codes too',
  ],
  ['{ argv: [a], file: {} }', 'command.file.path: is required'],
])('%s is refused', (command, fault) => {
  expect(faults(command)).toEqual([fault]);
});

test('tags of a dispatcher are names, also from a variable', () => {
  const tags = (text: string) =>
    loadConfig({ env: { MALABAR_DISPATCHER_TAGS: text } }).dispatcher.tags;
  expect(tags('batch, gpu,batch')).toEqual(['batch', 'gpu']);
  expect(loadConfig({}).dispatcher.tags).toEqual([]);
  expect(() => tags('a b')).toThrow('a name of a tag has only letters, digits, _ . -');
});
