import type { config } from '@malabar/contracts';
import { DOCUMENT_KEY, DOMAIN, QUEUES_FILE, type QueueDocument } from './documents.js';
import type { Topic } from './registry.js';
import type { ConfigService } from './topics.js';

const PAGE = 200;
const PAGES_MAX = 10;

/** Who made a topic what it is: `release 7 by ann at 2030-01-01T00:00:00.000Z (more patience) made it so`. */
export async function authorOf(
  service: ConfigService,
  topic: Topic,
  document: unknown,
): Promise<string> {
  let cursor = '';
  try {
    for (let page = 0; page < PAGES_MAX; page++) {
      const answer = await service.listAudit({ domain: DOMAIN, cursor, limit: PAGE });
      const entry = answer.entries.find(({ changes }) => changes.some(madeIt(topic, document)));
      if (entry !== undefined) return told(entry);
      cursor = answer.cursor;
      if (cursor === '') break;
    }
  } catch {
    // Who may not read the audit hears what differs all the same.
  }
  return 'the history does not say who made it so';
}

function madeIt({ queue, task }: Topic, document: unknown): (change: config.Change) => boolean {
  const wanted = JSON.stringify(document);
  const isSo = (entry: config.ConfigEntry | undefined): boolean =>
    JSON.stringify(topicIn(entry?.raw, task)) === wanted;
  return ({ file, section, key, before, after }) =>
    file === QUEUES_FILE &&
    section === queue &&
    (key === DOCUMENT_KEY || key === '') &&
    isSo(after) &&
    !isSo(before);
}

function topicIn(raw: string | undefined, task: string): unknown {
  if (raw === undefined) return undefined;
  try {
    return (JSON.parse(raw) as QueueDocument | null)?.topics?.[task];
  } catch {
    return undefined;
  }
}

function told({ release, author, atMs, note }: config.AuditEntry): string {
  const when = new Date(atMs).toISOString();
  return `release ${release} by ${author} at ${when}${note && ` (${note})`} made it so`;
}
