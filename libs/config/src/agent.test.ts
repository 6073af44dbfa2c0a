import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { readAgentConfig } from './agent.js';

const dir = tempDir('agent-config');

function read(text: string) {
  const file = join(dir, 'agent.yaml');
  writeFileSync(file, text);
  return readAgentConfig(file);
}

/** The reasons, without the place of the file. */
function faults(text: string): string[] {
  try {
    read(text);
  } catch (error) {
    return (error as Error).message.split('\n').map((line) => line.slice(dir.length + 12));
  }
  return [];
}

test('the example reads', () => {
  const example = new URL('../../../deploy/examples/agent.yaml', import.meta.url);
  const { keepers, domains } = readAgentConfig(fileURLToPath(example));
  expect(keepers).toEqual(['127.0.0.1:7400']);
  expect(domains.shop?.outputs[0]).toMatchObject({
    mode: 0o640,
    reload: ['systemctl', 'reload', 'php8.2-fpm'],
    reloadTimeoutMs: 30_000,
  });
});

test('what is not said has a default', () => {
  const text = 'domains: { shop: { subscribe: [/a.conf], outputs: [{ file: /x, format: json }] } }';
  expect(read(text)).toEqual({
    keepers: ['127.0.0.1:7400'],
    tags: {},
    domains: {
      shop: {
        subscribe: ['/a.conf'],
        outputs: [{ file: '/x', format: 'json', mode: 0o640, reloadTimeoutMs: 30_000 }],
      },
    },
  });
});

test('every fault has its line', () => {
  const text = `nodes: web-1
domains:
  shop:
    subscribe: []
    outputs:
      - { file: /x, format: xml }
      - { file: /y, format: php, mode: 0640, reload: systemctl reload php }
      - { file: /z, format: php, mode: '0999' }
`;
  expect(faults(text)).toEqual([
    "1:1: nodes: unknown key; did you mean 'node'?",
    '4:5: domains.shop.subscribe: is empty; it is a list of subscriptions',
    expect.stringMatching(/^6:.*format: 'xml' is not one of json, yaml, ini, php/),
    expect.stringMatching(/^7:.*mode: '640' is not a mode in quotes, e.g. '0640'/),
    expect.stringMatching(/^7:.*reload: 'systemctl reload php' is not a list of a program and its/),
    expect.stringMatching(/^8:.*mode: '0999' is not a mode/),
  ]);
  expect(faults('node: x')).toEqual([expect.stringContaining('says which domains to follow')]);
});

test('two outputs of one file are refused', () => {
  const outputs = '[{ file: /x, format: php }, { file: /x, format: json }]';
  expect(faults(`domains: { shop: { subscribe: [/a.conf], outputs: ${outputs} } }`)).toEqual([
    expect.stringContaining("'/x' is written by another output"),
  ]);
});
