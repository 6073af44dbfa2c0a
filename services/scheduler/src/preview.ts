import { readSchedule } from '@malabar/config';
import type { scheduler } from '@malabar/contracts';
import { createSchedule, nextFires } from '@malabar/schedule';

const FIRES = 5;
const FIRES_MAX = 1_000;

/** What the keeper would say of a document, and when it would fire. */
export function previewOf(
  { name, document, count }: scheduler.PreviewRequest,
  nowMs: number,
): scheduler.PreviewResponse {
  const { faults, spec } = readSchedule(name, document);
  if (spec === undefined) return { faults: [...faults], nextMs: [] };
  const fires = nextFires(createSchedule(spec), nowMs, Math.min(count || FIRES, FIRES_MAX));
  return { faults: [...faults], nextMs: fires.map(({ dueMs }) => dueMs) };
}
