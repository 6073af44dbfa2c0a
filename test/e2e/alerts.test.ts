import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { startBus } from '../harness/bus.js';

interface Rules {
  groups: Array<{ name: string; rules: Array<{ alert: string; expr: string }> }>;
}

const file = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../deploy/prometheus/${name}`, import.meta.url)), 'utf8');

test('every metric that an alert asks for is one that a bus exports', async () => {
  const bus = await startBus({ documents: 'queues: {}' });
  onTestFinished(() => bus.stop());
  const response = await fetch(`http://127.0.0.1:${bus.ports.ops.all}/metrics`);
  const exported = new Set(
    [...(await response.text()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
  );
  const rules = (parse(file('alerts.yml')) as Rules).groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(5);
  for (const { alert, expr } of rules) {
    const asked = [...expr.matchAll(/malabar_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
    for (const name of asked) expect(exported, alert).toContain(name);
    if (asked.length === 0) expect(expr, alert).toMatch(/^up\{/);
  }
  expect(rules.map(({ alert }) => alert)).toContain('MalabarScheduleDidNotRun');
  expect(parse(file('prometheus.yml'))).toMatchObject({ rule_files: ['alerts.yml'] });
});
