import { DOCUMENT_KEY, DOMAIN, QUEUES_FILE, type QueueDocument } from './documents.js';
import type { Topic } from './registry.js';
import { writeYaml } from './yaml.js';

/** How somebody who may makes the topics: by malabar.yaml, or by the command where it is known what is there. */
export function byHand(
  topics: readonly Topic[],
  queues: ReadonlyMap<string, QueueDocument> | undefined,
): string {
  const yaml = `Have them configured, in malabar.yaml:\n\n${writeYaml(topics)}`;
  if (queues === undefined) return yaml;
  const commands = [...queues].map(
    ([queue, document]) =>
      `malabar config set ${DOMAIN} ${QUEUES_FILE} ${queue} ${DOCUMENT_KEY} ${quoted(document)} --publish`,
  );
  return `${yaml}\nor by the command:\n\n${commands.join('\n')}\n`;
}

/** For a shell. */
function quoted(document: QueueDocument): string {
  return `'${JSON.stringify(document).replaceAll("'", "'\\''")}'`;
}
