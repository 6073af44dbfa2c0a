import { keeper } from '@malabar/contracts';
import { BusError, type Channel } from '@malabar/core';
import { bind, local } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { eventually, FakeClock, logToMemory, seededRandom } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { watchBusConfig } from './config-watch.js';
import { memoryKeeper } from './process.suite.js';

const stops: Array<() => void> = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function watch(onConfig: (config: keeper.BusConfig) => void = () => {}) {
  const clock = new FakeClock();
  const { implementation, watchers } = memoryKeeper();
  const { log, entries } = logToMemory<Logger>();
  const releases: number[] = [];
  const watching = watchBusConfig({
    keeper: local(bind(keeper.KeeperServiceDefinition, implementation), { clock }),
    instanceId: 'test',
    clock,
    random: seededRandom(1),
    log,
    onConfig(config) {
      releases.push(config.release);
      onConfig(config);
    },
  });
  stops.push(() => watching.stop());
  const latest = (): Channel<keeper.WatchConfigResponse> => [...watchers].at(-1) as never;
  const publish = (release: number): void =>
    latest().push({ config: keeper.BusConfig.fromPartial({ release }) });
  return { clock, watchers, entries, releases, watching, latest, publish };
}

test('every release is applied once, in order', async () => {
  const { releases, publish, watchers } = watch();
  await eventually(() => expect(watchers.size).toBe(1));
  for (const release of [1, 1, 2]) publish(release);
  await eventually(() => expect(releases).toEqual([1, 2]));
});

test('a keeper that goes away is watched again when it is back, and warned of once', async () => {
  const { clock, watchers, releases, publish, latest, entries } = watch();
  await eventually(() => expect(watchers.size).toBe(1));
  publish(7);
  await eventually(() => expect(releases).toEqual([7]));
  for (const expected of [2, 3, 4]) {
    latest().fail(new BusError('UNAVAILABLE', 'gone'));
    await eventually(async () => {
      await clock.advance(1_000);
      expect(watchers.size).toBe(expected);
    });
  }
  expect(entries.filter(({ level }) => level === 'warn')).toHaveLength(1);
  publish(7);
  await eventually(() => expect(releases).toEqual([7, 7]));
});

test('a release that cannot be applied is logged, and the next one is offered', async () => {
  const { watchers, releases, publish, entries } = watch(({ release }) => {
    if (release === 1) throw new Error('a topic too many');
  });
  await eventually(() => expect(watchers.size).toBe(1));
  publish(1);
  publish(2);
  await eventually(() => expect(releases).toEqual([1, 2]));
  expect(entries.filter(({ level }) => level === 'error')).toMatchObject([
    { fields: { release: 1, err: { message: 'a topic too many' } } },
  ]);
});

test('after a stop nothing is applied and nobody is called', async () => {
  const { clock, watchers, releases, publish, watching } = watch();
  await eventually(() => expect(watchers.size).toBe(1));
  watching.stop();
  publish(1);
  await clock.advance(60_000);
  expect(releases).toEqual([]);
  expect(watchers.size).toBe(1);
  expect(clock.pending).toBe(0);
});
