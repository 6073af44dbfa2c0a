/**
 * A program that runs by the configuration of a domain, with generated accessors. Prints a line of
 * JSON for each release that it takes over. Arguments: address, node id, domain, folder of the
 * generated code, subscriptions.
 */
import { join } from 'node:path';
import { openKeeperClient } from '@malabar/keeper-client';

const [address = '', nodeId = '', domain = '', folder = '', ...subscriptions] =
  process.argv.slice(2);
const { Config } = await import(join(folder, 'config.ts'));
const config = new Config();

/** What JSON has no words for. */
function spelled(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Map) return { map: [...value] };
  return value instanceof Set ? { set: [...value] } : value;
}

const client = openKeeperClient({ addresses: [address], nodeId, component: 'node' });
client.config.subscribe({
  domain,
  subscriptions,
  onChange(_changes, view) {
    config.update(view);
    const { types, global } = config;
    console.log(JSON.stringify({ release: view.release, types, global }, spelled));
  },
});
process.once('SIGTERM', () => void client.close());
