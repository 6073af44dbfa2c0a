import type { scheduler } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';

/** The contract of the scheduler: there are no schedules yet, and it says so. */
export function createSchedulerService(): Implementation<
  typeof scheduler.SchedulerServiceDefinition
> {
  return {
    listSchedules: async () => ({ schedules: [] }),
  };
}
