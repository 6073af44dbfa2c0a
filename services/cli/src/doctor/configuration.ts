import { BUS_DOMAIN, filesToBusConfig } from '@malabar/config';
import type { config } from '@malabar/contracts';
import type { Client } from '@malabar/rpc';
import { plural } from '../format.js';
import { type Finding, fine, wrong } from './check.js';
import { checkFastcgi } from './targets.js';

/** Which release is in force, does every process run it, and does something listen where it says? */
export async function checkConfiguration(
  client: Client<typeof config.ConfigServiceDefinition>,
  timeoutMs: number,
): Promise<Finding[]> {
  const call = { timeoutMs };
  const request = { domain: BUS_DOMAIN, state: undefined, path: '', reveal: false };
  const { files, release } = await client.getFiles(request, call);
  const { nodes } = await client.listNodes({ domain: BUS_DOMAIN, onlyHere: false }, call);
  const busConfig = filesToBusConfig(files, { withoutSecrets: true });
  return [
    fine('configuration release', `${release}, with ${plural(busConfig.queues.length, 'queue')}`),
    ...nodes.filter(({ refusal }) => refusal !== '').map(refused),
    ...(await checkFastcgi(busConfig)),
  ];
}

function refused({ id, release, offered, refusal }: config.Node): Finding {
  return wrong(
    `configuration of ${id}`,
    `refuses release ${offered} and runs ${release}: ${refusal}`,
    `correct it, or take it back: malabar config rollback ${BUS_DOMAIN} ${release}`,
  );
}
