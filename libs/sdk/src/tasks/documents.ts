import type { TopicDocument } from './options.js';

/** The keeper's domain that the bus itself goes by (docs/config.md). */
export const DOMAIN = 'malabar';
/** A section for each queue ... */
export const QUEUES_FILE = '/queues.conf';
/** ... with what stands under its name in malabar.yaml, as JSON. */
export const DOCUMENT_KEY = 'document';

/** What stands under a queue's name; further keys are not ours. */
export interface QueueDocument {
  readonly topics?: Readonly<Record<string, TopicDocument | null>>;
}
