import { randomBytes } from 'node:crypto';
import { guard, schedulerRules } from '@malabar/access';
import { scheduler as contract, election, ingest, type keeper, storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { LeaderLink } from './leader-link.js';
import { createSchedulerMetrics } from './metrics.js';
import { RunHistory } from './run-history.js';
import { Scheduler } from './scheduler.js';
import { createSchedulerService } from './service.js';

/** Wiring only: a candidate, the way to whoever leads, and the contract. */
export const schedulerModule: Module = {
  name: 'scheduler',
  needs: ['keeper', 'storage', 'ingest'],
  async start(context) {
    const { config, clock, random, log, metrics, client, keeper } = context;
    const storageClient = client('storage', storage.StorageServiceDefinition);
    let topics: ReadonlyMap<string, readonly string[]> = new Map();
    const scheduler: Scheduler = new Scheduler({
      ingest: client('ingest', ingest.IngestServiceDefinition),
      storage: storageClient,
      election: keeper.election,
      holder: `${config.node}/${randomBytes(6).toString('hex')}`,
      async replace() {
        throw new BusError('UNSUPPORTED', 'nothing ends runs yet');
      },
      clock,
      random,
      log,
      metrics: createSchedulerMetrics(metrics, {
        leads: () => scheduler.leads,
        schedules: () => scheduler.schedules.size,
        paused: () => scheduler.status().filter(({ paused }) => paused !== '').length,
      }),
    });
    context.onBusConfig((busConfig) => {
      topics = topicsOf(busConfig);
      scheduler.configure(busConfig);
    });
    const leader = new LeaderLink({
      election: client('keeper', election.ElectionServiceDefinition),
      discovery: keeper.discovery,
      grpc: config.grpc,
      clock,
      random,
    });
    const history = new RunHistory(storageClient, (queue) => topics.get(queue) ?? []);
    const { SchedulerServiceDefinition: definition } = contract;
    const service = createSchedulerService({ scheduler, history, leader, clock });
    const rules = schedulerRules(scheduler.systemOf);
    const guarded = guard(definition, service, rules, context.authenticate);
    leader.start();
    return {
      bindings: [bind(definition, guarded, { access: 'public' })],
      notReady: () => scheduler.notReady(),
      drain: () => scheduler.stop(),
      async stop() {
        leader.stop();
      },
    };
  },
};

const topicsOf = ({ queues }: keeper.BusConfig): Map<string, string[]> =>
  new Map(queues.map(({ name, topics }) => [name, topics.map((topic) => topic.name)]));
