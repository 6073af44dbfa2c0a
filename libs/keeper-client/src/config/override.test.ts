import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FakeClock, logToMemory, tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { OverrideFile, type Overrides, parseOverrides } from './override.js';

test('values are the texts that the operator wrote, in YAML or JSON', () => {
  const yaml = `
    shop:
      redis:
        host: there
        port: 0123
        tls: yes
        ratio: 1.0
        empty:
      /queues.conf:
        orders: { document: '{"a":1}' }
  `;
  const value = (key: string, raw: string) => ({ file: 'redis', section: '', key, raw });
  expect(parseOverrides(yaml).get('shop')).toEqual([
    value('host', 'there'),
    value('port', '0123'),
    value('tls', 'yes'),
    value('ratio', '1.0'),
    value('empty', ''),
    { file: '/queues.conf', section: 'orders', key: 'document', raw: '{"a":1}' },
  ]);
  const json = '{"shop": {"redis": {"port": 5, "host": "a\\nb"}}}';
  expect(parseOverrides(json).get('shop')).toEqual([value('port', '5'), value('host', 'a\nb')]);
  expect(parseOverrides('').size).toBe(0);
});

test.each([
  ['shop', 'the file: a map is needed'],
  ['shop: 5', 'shop: a map is needed'],
  ['shop: { redis: [1] }', 'shop redis: a map is needed'],
  ['shop: { redis: { port: [1] } }', 'redis port: a text is needed'],
  ['shop: { redis: { port: { a: [1] } } }', 'redis port a: a text is needed'],
  ['shop:\n  a: {\n', 'line'],
  ['shop: {}\nshop: {}\n', 'line 2'],
])('%j is refused: %s', (text, message) => {
  expect(() => parseOverrides(text)).toThrow(message);
});

test('the file is read at the start and when it changes; a broken one changes nothing', async () => {
  const path = join(tempDir('override'), 'override.yaml');
  const clock = new FakeClock();
  const { log, entries } = logToMemory();
  const seen: Overrides[] = [];
  const file = new OverrideFile({ path, clock, log, onChange: (all) => seen.push(all) });
  onTestFinished(() => file.stop());
  writeFileSync(path, 'shop: { redis: { port: 1 } }');
  await file.start();
  expect(seen.at(-1)?.get('shop')).toMatchObject([{ raw: '1' }]);
  writeFileSync(path, 'shop: { redis: { port: 22 } }');
  await looked(clock);
  expect(seen.at(-1)?.get('shop')).toMatchObject([{ raw: '22' }]);
  writeFileSync(path, 'shop: nonsense');
  await looked(clock);
  expect(seen).toHaveLength(2);
  expect(entries.at(-1)).toMatchObject({ level: 'error', message: 'override file refused' });
  rmSync(path);
  await looked(clock);
  expect(seen.at(-1)?.size).toBe(0);
  await looked(clock);
  expect(seen).toHaveLength(3);
});

/** Lets a period pass, and the file be read. */
async function looked(clock: FakeClock): Promise<void> {
  await clock.advance(2_000);
  while (clock.pending === 0) await clock.advance(0);
}
