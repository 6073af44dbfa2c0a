import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { commandSchema } from './command.js';
import { fileSchema } from './documents.js';
import { outline } from './outline.js';
import { variableOf } from './overrides.js';
import { configReference } from './reference.js';
import { settingsSchema } from './settings.js';
import { fastcgiSchema, httpSchema } from './target.js';

// Rewritten by `npm run docs:config`.
const PAGE = fileURLToPath(new URL('../../../docs/config.md', import.meta.url));

test('docs/config.md says what the schema says', async () => {
  await expect(configReference()).toMatchFileSnapshot(PAGE);
});

test('every key has a type and a meaning', () => {
  const schemas = [fileSchema, fastcgiSchema, httpSchema, commandSchema];
  const all = schemas.flatMap((schema) => outline(schema));
  expect(all.length).toBeGreaterThan(60);
  expect(all.filter(({ about }) => about === '')).toEqual([]);
  expect(all.filter(({ type, later }) => type === '' && !later)).toEqual([]);
});

test('every setting has a variable of its own', () => {
  const variables = outline(settingsSchema).map(({ path }) => variableOf(path));
  expect(new Set(variables).size).toBe(variables.length);
  expect(variables).toContain('MALABAR_STORAGE_BYTES_MAX');
  expect(variables).toContain('MALABAR_INGEST_REDIS_LISTEN');
});
