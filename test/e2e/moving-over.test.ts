import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, type scheduler } from '@malabar/contracts';
import { EtcdClient } from '@malabar/etcd';
import { type EtcdServer, etcdServer, eventually, needs, packages } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';

const { DONE, DEAD } = common.DeliveryState;
const PREFIX = '/pepper/cron';

let etcd: EtcdServer;
let client: EtcdClient;
const open: Bus[] = [];

/** A job as peppercron's API stores it: every field that its JSON has. */
function job(name: string, fields: object): [string, unknown] {
  const stored = {
    ...{ name, dispatch_id: '', type: 0, times: 0, times_delay: 0, schedule: '' },
    ...{ base_group_id: 0, timezone: '', executor_blocking: true, executor_type: 0 },
    ...{ executor_params: [], executor_timeout: 0, environment_variables: null, extras: null },
    ...{ tag: 'batch', retries: 0, dependent_jobs: null, concurrency: 1, status: '', ...fields },
  };
  return [`jobs/${name}`, stored];
}

/** What a peppercron of two nodes leaves in etcd; its jobs write into `dir`. */
function layout(dir: string): Array<[string, unknown]> {
  const sh = (line: string) => ['sh', '-c', line];
  const assigned = job('tick', {
    schedule: '@every 1s',
    executor_params: sh(`date >> ${dir}/tick`),
  });
  return [
    assigned,
    job('report', {
      dependent_jobs: ['tick'],
      executor_params: sh(`echo "$GREETING" > ${dir}/report; echo reported`),
      environment_variables: ['GREETING=hello from the child'],
      executor_timeout: 30e9,
    }),
    job('fails', { schedule: '*/2 * * * * *', timezone: 'UTC', executor_params: sh('exit 3') }),
    job('nightly', {
      schedule: '0 30 2 ? * MON-FRI',
      timezone: 'Asia/Shanghai',
      executor_params: ['touch', `${dir}/nightly`],
      executor_blocking: false,
    }),
    job('trap', { schedule: '*/5 * * * *', timezone: 'UTC', executor_params: ['true'] }),
    job('loop', {
      type: 1,
      times: 2,
      times_delay: 1e9,
      executor_params: sh(`date >> ${dir}/loop`),
    }),
    job('poison', { schedule: '@daily', timezone: 'Mars/Base', executor_params: ['true'] }),
    job('rpc', { schedule: '@daily', timezone: 'UTC', executor_type: 1 }),
    ['jobs/torn', '{"name":"torn","schedule":'],
    ['dispatch/tick', { dependents: {}, running_agents: { n1: { 'tick:n1:1': true } } }],
    ['agent/n1/jobs/tick:n1:1', assigned[1]],
    ['agent/nodes/alive/n1', 'batch,web'],
    ['agent/execution/tick:n1:1/n1/1', { job_name: 'tick', status: 0 }],
    ['job/execution/tick/1', { job_name: 'tick', success_count: 1 }],
    ['conf/global', { front_port: ':12306' }],
    ['conf/nodes/n1', { tags: 'batch,web' }],
    ['election/master/694d', 'n1'],
  ];
}

async function start(): Promise<Bus> {
  const settings = ['dispatcher.tags=batch'];
  const bus = await startBus({ documents: 'queues: {}\n', settings });
  open.push(bus);
  return bus;
}

async function runs(command: CommandLine, schedule: string): Promise<scheduler.ScheduledRun[]> {
  const answer = await command.json<scheduler.ListRunsResponse>('schedules', 'runs', schedule);
  return [...answer.runs];
}

needs(describe, await packages.etcd())('moving over from peppercron', () => {
  beforeAll(async () => {
    etcd = await etcdServer();
    client = new EtcdClient({ endpoints: [etcd.address] });
  });

  afterAll(async () => {
    client?.close();
    await etcd?.stop();
  });

  afterEach(async () => {
    for (const bus of open.splice(0)) await bus.stop();
  });

  test('its jobs are looked at, come paused, are tried, are enabled, and then they fire', async () => {
    const bus = await start();
    const command = commandLine(bus);
    const puts = layout(bus.dir).map(([key, value]) => ({
      key: `${PREFIX}/${key}`,
      value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
    }));
    await client.commit({ puts });
    const before = (await client.list(PREFIX)).entries;
    const migrate = (...args: string[]) =>
      command.run('migrate', 'peppercron', '--etcd', `http://${etcd.address}`, ...args);

    const dry = await migrate();
    expect(dry.code).toBe(2);
    expect(dry.stdout).toMatch(/^nightly {2}taken$/m);
    expect(dry.stdout).toMatch(/9 jobs: 2 taken, 4 taken with warnings, 3 refused/);
    expect(dry.stdout).toMatch(/AS A CRONTAB\n(.*crontab differs\n){5}/);
    expect(dry.stderr).toMatch(/job poison: .*'Mars\/Base' is not a time zone/);
    expect(dry.stderr).toMatch(/job rpc: executor_type 1/);
    expect(dry.stderr).toMatch(/\/pepper\/cron\/jobs\/torn: its value is no JSON object/);
    expect((await migrate('--apply')).code).toBe(2);
    expect(await command.ok('schedules')).toMatch(/No schedule is configured/);

    const applied = await migrate('--apply', '--skip-refused');
    expect(applied.stderr).toMatch(/left out: job rpc/);
    expect(applied.stdout).toMatch(
      /new: fails, loop, nightly, report, tick, trap\nmalabar: release/,
    );
    await eventually(async () => {
      expect((await command.ok('schedules')).match(/paused: moved from peppercron/g)).toHaveLength(
        6,
      );
    });
    await command.ok('schedules', 'test', 'nightly', '--limit', '30s');
    await eventually(() => expect(existsSync(join(bus.dir, 'nightly'))).toBe(true));
    expect(existsSync(join(bus.dir, 'tick'))).toBe(false);

    const enabled = await migrate('--apply', '--skip-refused', '--enable');
    expect(enabled.stderr).toMatch(/peppercron runs on n1: jobs that are here fire twice/);
    expect(enabled.stdout).toMatch(/changed: fails, loop, nightly, report, tick, trap/);
    const lines = (file: string) => readFileSync(join(bus.dir, file), 'utf8').trim().split('\n');
    const patience = { timeoutMs: 30_000 };
    await eventually(() => expect(lines('tick').length).toBeGreaterThan(2), patience);
    await eventually(() => expect(lines('report')).toEqual(['hello from the child']), patience);
    await eventually(async () => {
      const failed = await runs(command, 'fails');
      expect(failed.some(({ state, attempts }) => state === DEAD && attempts === 1)).toBe(true);
      const done = (await runs(command, 'loop')).filter(({ state }) => state === DONE);
      expect(done).toHaveLength(2);
    }, patience);
    expect((await client.list(PREFIX)).entries).toEqual(before);
  });
});
