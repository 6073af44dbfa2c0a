import { connectKeeper, openKeeperClient } from '@malabar/keeper-client';

/** What was pushed to a node: the stamp in it, and when its callback ran, milliseconds. */
export type Received = [stamp: string, atMs: number];

const [address = '', first = '0', count = '0'] = process.argv.slice(2);
let received: Received[] = [];

/** After a change and all reports on it, before the next one. */
const TIDY_AFTER_MS = 120;
const tidying = setTimeout(() => global.gc?.({ type: 'minor', execution: 'sync' }), TIDY_AFTER_MS);

/** Nodes with our library, each with a TCP connection of its own. */
async function start(nodeId: string): Promise<void> {
  const services = connectKeeper({ addresses: [address], ownConnection: true });
  const client = openKeeperClient({ nodeId, component: 'bench', services });
  client.config.subscribe({
    domain: 'bench',
    subscriptions: ['/app.conf'],
    onChange(_, view) {
      const atMs = performance.timeOrigin + performance.now();
      received.push([view.string('app', 'stamp'), atMs]);
      tidying.refresh();
    },
  });
  await client.ready();
}

process.on('message', () => {
  process.send?.(received);
  received = [];
});
const ids = Array.from({ length: Number(count) }, (_, at) => `node-${Number(first) + at}`);
await Promise.all(ids.map(start));
process.send?.('ready');
