import { expect, test } from 'vitest';
import { createLogger } from './logger.js';
import { createMetrics } from './metrics.js';
import { serveOps } from './ops-server.js';

function capture(): { lines: string[]; write(line: string): void } {
  const lines: string[] = [];
  return { lines, write: (line) => void lines.push(line) };
}

test('a log line is one JSON object with its fields', () => {
  const out = capture();
  createLogger({ level: 'info', base: { node: 'n1' }, destination: out }).info(
    { jobs: 3 },
    'taken',
  );
  expect(JSON.parse(out.lines[0] ?? '')).toMatchObject({
    level: 'info',
    node: 'n1',
    jobs: 3,
    msg: 'taken',
  });
});

test('secrets never reach a log', () => {
  const out = capture();
  const log = createLogger({ level: 'info', destination: out });
  log.info({ password: 'planted', queue: { secret: 'planted', passwordHash: 'planted' } }, 'x');
  expect(out.lines.join('')).not.toContain('planted');
});

test('a pretty line is for people', () => {
  const out = capture();
  const log = createLogger({ level: 'info', pretty: true, destination: out });
  log.child({ service: 'storage' }).warn({ err: new Error('boom') }, 'refused');
  expect(out.lines[0]).toMatch(/^\d\d:\d\d:\d\d warn {2}storage: refused {2}err=boom\n$/);
});

test('a metric has a name of the project and exists once', () => {
  const metrics = createMetrics();
  expect(() => metrics.counter('jobs', 'no prefix')).toThrow(/not a metric name/);
  const one = metrics.counter('malabar_test_jobs_total', 'jobs', ['queue']);
  expect(metrics.counter('malabar_test_jobs_total', 'jobs', ['queue'])).toBe(one);
});

test('the ops endpoint serves figures, health and the reasons for not being ready', async () => {
  const metrics = createMetrics({ process: true });
  metrics.gauge('malabar_test_waiting_jobs', 'set when scraped', {
    collect: (gauge) => gauge.set(7),
  });
  const reasons = ['no configuration yet'];
  const { log } = { log: createLogger({ level: 'silent' }) };
  const ops = await serveOps({ listen: '127.0.0.1:0', metrics, log, notReady: () => reasons });
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://${ops.address}${path}`);
    return [response.status, await response.text()];
  };
  const [, text] = await get('/metrics');
  expect(text).toContain('malabar_test_waiting_jobs 7');
  expect(text).toContain('nodejs_eventloop_lag_seconds');
  expect((await get('/healthz'))[0]).toBe(200);
  expect(await get('/readyz')).toEqual([
    503,
    '{"ready":false,"reasons":["no configuration yet"]}\n',
  ]);
  reasons.pop();
  expect((await get('/readyz'))[0]).toBe(200);
  expect((await get('/other'))[0]).toBe(404);
  await ops.close();
});

test('an ops endpoint that others can read must be wished for', async () => {
  const metrics = createMetrics();
  const log = createLogger({ level: 'silent' });
  const options = { listen: '0.0.0.0:0', metrics, log, notReady: () => [] };
  await expect(serveOps(options)).rejects.toMatchObject({ code: 'INVALID' });
  const ops = await serveOps({ ...options, insecure: true });
  const again = serveOps({ ...options, listen: ops.address, insecure: true });
  await expect(again).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await ops.close();
});
