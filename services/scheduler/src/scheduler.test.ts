import { loadConfig } from '@malabar/config';
import { scheduler } from '@malabar/contracts';
import { connect } from '@malabar/rpc';
import { start } from '@malabar/runtime';
import type { Logger } from '@malabar/telemetry';
import { freePort, logToMemory } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { schedulerModule } from './module.js';

test('the scheduler runs alone, and without a keeper knows no schedules and is not ready', async () => {
  const flags = {
    'grpc.listen': '127.0.0.1:0',
    'ops.listen': '127.0.0.1:0',
    'addresses.keeper': `127.0.0.1:${await freePort()}`,
  };
  const { log } = logToMemory<Logger>();
  const config = loadConfig({ env: {}, flags });
  const process = await start({ modules: [schedulerModule], config, log });
  const client = connect(scheduler.SchedulerServiceDefinition, { address: process.grpcAddress });
  try {
    const asked = { schedule: '' };
    expect(await client.listSchedules(asked)).toEqual({ schedules: [], leader: '' });
    await expect(client.trigger({ schedule: 'x', request: '' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect((await fetch(`http://${process.opsAddress}/readyz`)).status).toBe(503);
  } finally {
    client.close();
    await process.stop();
  }
});
