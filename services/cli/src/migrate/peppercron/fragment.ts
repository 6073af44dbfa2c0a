import { Document, isMap, isScalar } from 'yaml';
import type { PlannedJob } from './convert.js';

/** A piece of malabar.yaml with the schedules, to review: the old words and every doubt as comments. */
export function fragmentOf(jobs: readonly PlannedJob[]): string {
  const schedules = Object.fromEntries(
    jobs.flatMap((each) => each.schedules.map(({ name, document }) => [name, document])),
  );
  const remarks = new Map(
    jobs.flatMap((each) => each.schedules.map(({ name }) => [name, remarkOf(each)])),
  );
  const document = new Document({ schedules });
  const items = document.get('schedules', true);
  for (const { key } of isMap(items) ? items.items : [])
    if (isScalar(key)) key.commentBefore = remarks.get(String(key.value));
  const refused = jobs.flatMap(({ name, refusals }) =>
    refusals.map((reason) => ` refused: ${name}: ${reason}`),
  );
  if (refused.length > 0) document.comment = refused.join('\n');
  return document.toString({ lineWidth: 100 });
}

function remarkOf({ name, job, reading, warnings }: PlannedJob): string {
  const lines = [
    `${name}: ${job?.schedule || 'no schedule'}`,
    ...(reading ? [`read as ${reading.words}`] : []),
    ...warnings.map((text) => `warning: ${text}`),
  ];
  return lines.map((line) => ` ${line.replaceAll(/\s+/g, ' ')}`).join('\n');
}
