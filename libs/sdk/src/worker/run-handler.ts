import { readEnvelope } from '../envelope.js';
import { toMalabarError } from '../errors.js';
import type { Once } from '../idempotent/idempotent.js';
import type { Registry } from '../tasks/registry.js';
import type { JobFacts } from './job-facts.js';
import { DONE_VERDICT, judge, RELEASE_VERDICT, retryVerdict, type Verdict } from './verdict.js';

const REMEMBERED = '7d';

export interface RunOptions {
  registry: Pick<Registry, 'handler'>;
  /** Remembers which jobs are done, so that none is done twice. */
  once: Once | undefined;
}

/** Does a job and says how it went. Whatever a handler throws ends here. */
export async function runHandler(
  { registry, once }: RunOptions,
  path: string,
  facts: JobFacts,
): Promise<Verdict> {
  try {
    const { event, params } = readEnvelope(facts.body, facts.queue);
    const handler = registry.handler(path, event);
    const callHandler = async (): Promise<void> => {
      await handler(params, { ...facts, event });
    };
    if (once === undefined) await callHandler();
    else await once(`${path}/${facts.id}`, callHandler, { ttl: REMEMBERED });
    return DONE_VERDICT;
  } catch (thrown) {
    return facts.signal.aborted ? cutShort(facts, thrown) : judge(thrown, facts.attempt);
  }
}

/** The end of a handler that we ended: what it says of it is not the news. */
function cutShort({ signal, attempt }: JobFacts, thrown: unknown): Verdict {
  const { code, message } = toMalabarError(signal.reason);
  if (code === 'UNAVAILABLE') return RELEASE_VERDICT;
  const { error } = judge(thrown, attempt);
  return retryVerdict(code, `${message}\n${error}`);
}
