/**
 * Many nodes in one process, each with a connection of its own. A node whose id the value `broken_on`
 * names refuses. Prints a line of JSON for each release that a node takes over. Arguments: address,
 * domain, file, number of nodes.
 */

import type { EffectiveView } from '@malabar/keeper-client';
import { openKeeperClient } from '@malabar/keeper-client';

const [address = '', domain = '', file = '', count = ''] = process.argv.slice(2);

const clients = Array.from({ length: Number(count) }, (_, at) => {
  const nodeId = `node-${String(at).padStart(2, '0')}`;
  const client = openKeeperClient({ addresses: [address], nodeId, tags: { rack: `${at % 5}` } });
  const onChange = (_changes: unknown, view: EffectiveView): void => take(nodeId, view);
  client.config.subscribe({ domain, subscriptions: [file], onChange });
  return client;
});

function take(nodeId: string, view: EffectiveView): void {
  const values = Object.fromEntries([...view.values()].map(({ key, raw }) => [key, raw]));
  if (values.broken_on === nodeId) throw new Error(`no room for ${values.size} on ${nodeId}`);
  console.log(JSON.stringify({ nodeId, release: view.release, values }));
}

process.once('SIGTERM', () => void Promise.all(clients.map((client) => client.close())));
