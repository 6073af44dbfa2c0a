import { randomBytes } from 'node:crypto';
import { guard, schedulerRules } from '@malabar/access';
import { RUN_TOPIC } from '@malabar/config';
import {
  scheduler as contract,
  dispatcher,
  election,
  ingest,
  type keeper,
  storage,
} from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { LeaderLink } from './leader-link.js';
import { createSchedulerMetrics } from './metrics.js';
import { NodeDirectory } from './node-directory.js';
import { Peers } from './peers.js';
import { RunEnder } from './run-ender.js';
import { RunHistory } from './run-history.js';
import { Scheduler } from './scheduler.js';
import { createSchedulerService } from './service.js';
import { TestRuns } from './test-runs.js';

/** Wiring only: a candidate, the way to whoever leads, and the contract. */
export const schedulerModule: Module = {
  name: 'scheduler',
  needs: ['keeper', 'storage', 'ingest'],
  async start(context) {
    const { config, clock, random, log, metrics, client, keeper } = context;
    const { SchedulerServiceDefinition: definition } = contract;
    const { DispatcherServiceDefinition } = dispatcher;
    const near = { discovery: keeper.discovery, grpc: config.grpc };
    const schedulers = new Peers({ ...near, service: 'scheduler', definition });
    const dispatchers = new Peers({
      ...near,
      service: 'dispatcher',
      definition: DispatcherServiceDefinition,
    });
    const storageClient = client('storage', storage.StorageServiceDefinition);
    const ingestClient = client('ingest', ingest.IngestServiceDefinition);
    const ender = new RunEnder({ storage: storageClient, dispatchers, clock });
    const nodes = new NodeDirectory({ dispatchers, clock, log });
    const scheduler: Scheduler = new Scheduler({
      ingest: ingestClient,
      storage: storageClient,
      election: keeper.election,
      holder: `${config.node}/${randomBytes(6).toString('hex')}`,
      endRun: ({ job, ...run }, signal) =>
        ender.end({ ...run, topic: RUN_TOPIC, jobId: job, reason: 'replaced by the next' }, signal),
      nodesFor: (...asked) => nodes.nodesFor(...asked),
      clock,
      random,
      log,
      metrics: createSchedulerMetrics(metrics, {
        leads: () => scheduler.leads,
        schedules: () => scheduler.schedules.size,
        paused: () => scheduler.status().filter(({ paused }) => paused !== '').length,
      }),
    });
    let topics: ReadonlyMap<string, readonly string[]> = new Map();
    context.onBusConfig((busConfig) => {
      topics = topicsOf(busConfig);
      scheduler.configure(busConfig);
    });
    const electionClient = client('keeper', election.ElectionServiceDefinition);
    const leader = new LeaderLink({ election: electionClient, schedulers, clock, random });
    const history = new RunHistory(storageClient, (queue) => topics.get(queue) ?? []);
    const tests = new TestRuns({ ingest: ingestClient, ender, clock });
    const service = createSchedulerService({ scheduler, history, tests, leader, clock });
    const rules = schedulerRules(scheduler.systemOf);
    const guarded = guard(definition, service, rules, context.authenticate);
    leader.start();
    return {
      bindings: [bind(definition, guarded, { access: 'public' })],
      notReady: () => scheduler.notReady(),
      drain: () => scheduler.stop(),
      async stop() {
        leader.stop();
        tests.stop();
        schedulers.close();
        dispatchers.close();
      },
    };
  },
};

const topicsOf = ({ queues }: keeper.BusConfig): Map<string, string[]> =>
  new Map(queues.map(({ name, topics }) => [name, topics.map((topic) => topic.name)]));
