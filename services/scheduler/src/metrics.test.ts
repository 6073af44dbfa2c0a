import { createMetrics } from '@malabar/telemetry';
import { expect, test } from 'vitest';
import type { Fire, Skip } from './core/record.js';
import { createSchedulerMetrics } from './metrics.js';

test('lateness is of the timetable alone, and only what nobody could fire is missed', async () => {
  const exported = createMetrics();
  const now = { leads: () => true, schedules: () => 3, paused: () => 1 };
  const metrics = createSchedulerMetrics(exported, now);
  metrics.fired({ reason: 'timetable' } as Fire, 1_500);
  metrics.fired({ reason: 'trigger' } as Fire, 60_000);
  metrics.skipped({ reason: 'misfire', count: 7 } as Skip);
  metrics.skipped({ reason: 'overlap', count: 2 } as Skip);
  metrics.refused('UNKNOWN_QUEUE');
  const text = await exported.registry.metrics();
  for (const line of [
    'malabar_scheduler_fire_lateness_seconds_sum 1.5',
    'malabar_scheduler_fire_lateness_seconds_count 1',
    'malabar_scheduler_fires_total{reason="trigger"} 1',
    'malabar_scheduler_missed_total 7',
    'malabar_scheduler_skipped_total{reason="misfire"} 7',
    'malabar_scheduler_skipped_total{reason="overlap"} 2',
    'malabar_scheduler_refused_total{code="UNKNOWN_QUEUE"} 1',
    'malabar_scheduler_leader 1',
    'malabar_scheduler_paused 1',
  ])
    expect(text.split('\n')).toContain(line);
});
