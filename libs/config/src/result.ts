import type * as z from 'zod';
import { fail, list, oneOf, section, text } from './schema.js';
import { target } from './target.js';
import { quoted } from './units.js';

/** What became of a delivery, as results say it. */
export type ResultStatus = 'done' | 'retrying' | 'failed' | 'dead' | 'discarded';

/** Who is told what became of deliveries: a queue, or a URL. */
export interface ResultDocument {
  queue?: string;
  url?: string;
  of: ResultStatus[];
}

const ENDS: ResultStatus[] = ['done', 'failed', 'dead', 'discarded'];

/** The queue of a topic's results when a URL is told of them. */
export const callbackQueue = (queue: string, topic: string): string => `result.${queue}.${topic}`;

/** `result: { queue: told }` of a topic, as the file says it. */
export const result = section({
  queue: text.optional().describe('Results are jobs of this queue.'),
  url: text
    .optional()
    .describe('Results are posted there, from a queue of their own: `result.<queue>.<topic>`.'),
  of: list('statuses', oneOf('done', 'retrying', 'failed', 'dead', 'discarded'))
    .meta({ type: 'list of statuses' })
    .optional()
    .describe('Which: `done`, `retrying`, `failed`, `dead`, `discarded`; all but `retrying`.'),
}).transform(({ queue, url, of = ENDS }, context): ResultDocument => {
  if ((queue === undefined) === (url === undefined)) {
    return fail(context, 'has either queue: or url:');
  }
  if (url !== undefined) checkUrl(url, context);
  return { queue, url, of };
});

function checkUrl(url: string, context: z.RefinementCtx): void {
  const parsed = target.safeParse(url);
  if (parsed.success && parsed.data.kind === 'http') return;
  fail(context, `${quoted(url)} is not an http:// or https:// URL`, ['url']);
}
