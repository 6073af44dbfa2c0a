import type { sync } from '@malabar/contracts';
import type { CallContext, Implementation } from '@malabar/rpc';
import { helloOf } from './hello.js';
import type { Hub } from './hub.js';

/** The contract: one stream, one session. */
export function createSyncService(hub: Hub): Implementation<sync.SyncServiceDefinition> {
  return { sync: (requests, context) => serveNode(hub, requests, context) };
}

async function* serveNode(
  hub: Hub,
  requests: AsyncIterable<sync.SyncRequest>,
  context: CallContext,
): AsyncGenerator<sync.SyncResponse, void, undefined> {
  const said = requests[Symbol.asyncIterator]();
  const first = await said.next();
  if (first.done || context.signal.aborted) return;
  const session = hub.join(helloOf(first.value), context);
  // A generator that waits cannot be left: the session wakes it.
  context.signal.addEventListener('abort', () => session.end(), { once: true });
  try {
    const { keeperId, reconcileMs } = hub;
    yield { message: { $case: 'welcome', value: { keeperId, reconcileMs } } };
    void session.listen(said);
    yield* session.messages();
  } finally {
    hub.leave(session);
  }
}
