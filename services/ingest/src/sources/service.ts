import type { sources as contract } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { SourceFigures } from './source.js';

/** What operators ask of sources: translates, decides nothing. */
export function createSourceService(
  node: string,
  figures: () => SourceFigures[],
): Implementation<typeof contract.SourceServiceDefinition> {
  return { listSources: async () => ({ node, sources: figures() }) };
}
