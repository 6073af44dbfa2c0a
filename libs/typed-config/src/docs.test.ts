import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { schemaFaults } from './schema/check.js';
import { FILE_SCHEMA } from './schema/document.js';
import { TYPE_NAMES } from './types.js';

const page = readFileSync(new URL('../../../docs/config-schema.md', import.meta.url), 'utf8');

test('docs/config-schema.md has every type and every member of a schema', () => {
  const { properties } = FILE_SCHEMA;
  const members = Object.keys({
    ...properties,
    ...properties.keys.additionalProperties.properties,
  });
  for (const name of [...TYPE_NAMES, ...members]) expect(page).toContain(`\`${name}\``);
});

test('the schema in docs/config-schema.md is one', () => {
  const [, schema = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const entries = [{ key: 'host', type: 'string', raw: 'redis.local' }];
  const sections = [{ name: 'DEFAULT', entries }];
  expect(schemaFaults([{ path: '/redis.conf', sections, parent: '', schema }])).toEqual([]);
});
