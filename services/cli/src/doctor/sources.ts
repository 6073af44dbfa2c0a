import type { sources } from '@malabar/contracts';
import { formatCount, plural } from '../format.js';
import { type Finding, fine, wrong } from './check.js';

/** Does every ingest consume from every source? */
export function checkSources(ingests: readonly sources.ListSourcesResponse[]): Finding[] {
  const byName = new Map<string, Array<sources.SourceStatus & { node: string }>>();
  for (const { node, sources } of ingests)
    for (const source of sources)
      byName.set(source.name, [...(byName.get(source.name) ?? []), { ...source, node }]);
  return [...byName].map(([name, statuses]) => {
    const subject = `source ${name}`;
    const address = statuses[0]?.address ?? '';
    const waiting = statuses.filter(({ waiting }) => waiting !== '');
    if (waiting.length > 0) {
      const reasons = waiting.map(({ node, waiting }) => `${node}: ${waiting}`).join('; ');
      return wrong(
        subject,
        `${address}: ${reasons}`,
        'messages wait in RabbitMQ until it is mended',
      );
    }
    const acknowledged = statuses.reduce((sum, status) => sum + status.acknowledged, 0);
    const refused = statuses.reduce((sum, status) => sum + status.refused, 0);
    const seen = `${address}, ${plural(statuses.length, 'consumer')}, ${formatCount(acknowledged)} acknowledged`;
    if (refused === 0) return fine(subject, seen);
    return fine(subject, `${seen}, ${formatCount(refused)} put aside as poison`);
  });
}
