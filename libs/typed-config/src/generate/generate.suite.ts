import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { config } from '@malabar/contracts';
import { tempDir } from '@malabar/testkit';
import { effective } from '../effective.js';
import { parseIni } from '../ini/parse.js';
import { sampleFiles } from '../sample.suite.js';
import type { FileSchema } from '../schema/document.js';
import type { TypeName } from '../types.js';
import { parseValue } from '../values.js';
import type { GeneratedFile } from './source.js';

const ADDR = {
  type: 'object',
  properties: {
    http: { type: 'string' },
    tries: { type: 'integer' },
    'x-y': { type: 'array', items: { type: 'object', properties: { on: { type: 'boolean' } } } },
    more: { type: 'object', additionalProperties: { type: 'number' } },
  },
  required: ['http'],
};

/** Of \`/types.conf\`: a description, JSON of a known form, and defaults of keys that no file has. */
const SCHEMA: FileSchema = {
  keys: {
    timeout: { type: 'string', description: 'How long */ to wait.' },
    addr: { type: 'json', schema: ADDR },
    default_wait: { type: 'time.Duration', default: '1.5s' },
    default_id: { type: 'int64', default: '9223372036854775807' },
    default_ids: { type: '[]int64', default: '1,9223372036854775807' },
    default_ports: { type: 'map[string]int', default: 'a:1' },
    default_codes: { type: 'map[int]string', default: '7:seven' },
    default_set: { type: 'map[int]struct{}', default: '7' },
    default_text: { type: 'string', default: `it's "a\\b" $x` },
    default_doc: { type: 'json', default: '{"a":[1,null]}' },
    maybe: { type: 'int' },
    class: { type: 'bool', default: 'true' },
  },
};

function fileOf(path: string, text: string, schema?: FileSchema): config.ConfigFile {
  const { sections } = parseIni(path, text);
  return { path, sections, parent: '', schema: schema ? JSON.stringify(schema) : '' };
}

/** What code is generated from: every type, every shape of names. */
export const generatedFrom: readonly config.ConfigFile[] = [
  ...['config', 'values', 'source', 'load', 'update', 'meta', 'class', '7', 'a-b'].map((name) =>
    fileOf(`/${name}.conf`, 'k = 1'),
  ),
  ...sampleFiles.map(({ path, text }) =>
    fileOf(path, text, path === '/types.conf' ? SCHEMA : undefined),
  ),
  fileOf(
    '/redis_master.conf',
    'a:b = 1\n80 int = 2\nmsg_type_map map[string]bool = a'.replace('a:b', '`a:b`'),
  ),
];

/** What a node that subscribes to the files gets. */
export function nodeFiles(...paths: string[]): config.EffectiveFile[] {
  const subscriptions = paths.map((file) => ({ file, section: '', verbatim: false }));
  return effective(generatedFrom, { nodeId: '127.0.0.1:80', subscriptions });
}

/** The document that the agent writes. */
export function agentJson(files: readonly config.EffectiveFile[]): string {
  const members = files.map(({ name, values }) => {
    const lines = values.map(({ key, json }) => `${JSON.stringify(key)}: ${json}`);
    return `${JSON.stringify(name)}: {${lines.join(',')}}`;
  });
  return `{${members.join(',')}}`;
}

/** What the keeper's client hands to onChange, as far as generated code needs it. */
export function viewOf(files: readonly config.EffectiveFile[]) {
  const values = files.flatMap(({ name, values }) =>
    values.map(({ key, type, raw }) => ({
      file: name,
      key,
      type,
      value: parseValue(type as TypeName, raw),
    })),
  );
  return {
    values: () => values,
    find: (file: string, key: string) =>
      values.find((value) => value.file === file && value.key === key),
  };
}

/** A new folder with the generated files in it. */
export function writeGenerated(files: readonly GeneratedFile[], below = ''): string {
  const folder = tempDir('generated');
  for (const { path, text } of files) {
    const target = join(folder, below, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  return folder;
}
