import { guard, schedulerRules } from '@malabar/access';
import { scheduler } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { createSchedulerService } from './service.js';

/** Wiring only: the contract and, with every gRPC server, its health. */
export const schedulerModule: Module = {
  name: 'scheduler',
  needs: ['keeper'],
  async start({ authenticate }) {
    const { SchedulerServiceDefinition: definition } = scheduler;
    const guarded = guard(definition, createSchedulerService(), schedulerRules, authenticate);
    return {
      bindings: [bind(definition, guarded, { access: 'public' })],
      stop: async () => {},
    };
  },
};
