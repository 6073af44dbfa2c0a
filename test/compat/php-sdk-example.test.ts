import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, needs, packages, php, phpFpm, tempDir } from '@malabar/testkit';
import { afterAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { PACKAGE, startWorker } from './php-sdk.js';

const requirements = [await packages.phpFpm(), await packages.php()];

needs(describe, ...requirements)("the package's example", () => {
  const open: Array<{ stop(): Promise<void> }> = [];

  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
  });

  /** The package as someone else has it; the example's database lies inside. */
  function installed(): string {
    const dir = tempDir('sdk-php');
    cpSync(PACKAGE, dir, { recursive: true });
    return dir;
  }

  /** What `malabar-tasks export` prints. */
  async function exported(dir: string, ...args: string[]): Promise<string> {
    const bootstrap = join(dir, 'examples/tasks.php');
    const command = [join(dir, 'bin/malabar-tasks'), 'export', '--bootstrap', bootstrap];
    const { stdout, stderr } = await php([...command, ...args]);
    expect(stderr).toBe('');
    return stdout;
  }

  async function started(documents: string): Promise<Bus> {
    const bus = await startBus({ documents });
    open.push(bus);
    return bus;
  }

  const setUps = {
    async 'through a worker'(dir: string): Promise<Bus> {
      const bus = await started(readFileSync(join(dir, 'examples/malabar.yaml'), 'utf8'));
      const bootstrap = join(dir, 'examples/tasks.php');
      open.push(await startWorker({ bus, bootstrap, args: ['--processes', '2'] }));
      return bus;
    },
    async 'through php-fpm'(dir: string): Promise<Bus> {
      const fpm = await phpFpm();
      open.push(fpm);
      const target = `fastcgi://${fpm.address}${join(dir, 'examples/consume.php')}`;
      return started(await exported(dir, '--target', target));
    },
  };

  test.each(Object.keys(setUps) as (keyof typeof setUps)[])(
    'ships what was paid and closes what was not, %s',
    async (way) => {
      const dir = installed();
      const bus = await setUps[way](dir);
      const publish = async (event: string, order: number) => {
        const env = { BUS: `127.0.0.1:${bus.ports.redis}` };
        const script = join(dir, 'examples/publish.php');
        expect((await php([script, event, `${order}`], { env })).stderr).toBe('');
      };
      const file = join(dir, 'examples/orders.log');
      const log = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);
      const begun = Date.now();
      await publish('order_create', 7);
      await publish('order_create', 8);
      await publish('order_paid', 8);
      await eventually(() => expect(log()).toContain('order 8 shipped virtually'));
      await eventually(() => expect(log()).toContain('order 7 closed'), { timeoutMs: 30_000 });
      expect(Date.now() - begun).toBeGreaterThanOrEqual(10_000);
      await eventually(async () => {
        const { queues } = await bus.storage.listQueues({ queue: 'order_create' });
        expect(queues[0]?.topics[0]).toMatchObject({ done: 2, dead: 0 });
      });
      expect(log()).not.toContain('order 8 closed');
    },
  );

  test('its malabar.yaml is what it exports', async () => {
    const text = readFileSync(join(PACKAGE, 'examples/malabar.yaml'), 'utf8');
    expect(text).toContain(await exported(PACKAGE));
  });
});
