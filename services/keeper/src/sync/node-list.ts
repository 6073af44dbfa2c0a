import type { config } from '@malabar/contracts';
import type { Client } from '@malabar/rpc';

const PEER_TIMEOUT_MS = 2_000;

/** Another keeper on the same backend. */
export interface Peer {
  keeperId: string;
  config: Pick<Client<config.ConfigServiceDefinition>, 'listNodes'>;
}

export interface NodeListOptions {
  /** The nodes of this keeper. */
  here(domain: string): config.Node[];
  /** All other keepers, as discovery knows them. */
  peers(): Promise<readonly Peer[]>;
}

/** The nodes of all keepers: each is asked, and who does not answer in time is named. */
export async function listNodes(
  { here, peers }: NodeListOptions,
  { domain, onlyHere }: config.ListNodesRequest,
): Promise<config.ListNodesResponse> {
  const silentKeepers: string[] = [];
  const lists = onlyHere ? [] : await askAll(peers, domain, silentKeepers);
  const nodes = merged([...here(domain), ...lists.flat()]);
  return { nodes, silentKeepers };
}

async function askAll(
  peers: NodeListOptions['peers'],
  domain: string,
  silent: string[],
): Promise<config.Node[][]> {
  let known: readonly Peer[];
  try {
    known = await peers();
  } catch {
    silent.push('all others: discovery does not answer');
    return [];
  }
  const ask = async ({ keeperId, config }: Peer): Promise<config.Node[]> => {
    try {
      const request = { domain, onlyHere: true };
      return (await config.listNodes(request, { timeoutMs: PEER_TIMEOUT_MS })).nodes;
    } catch {
      silent.push(keeperId);
      return [];
    }
  };
  return Promise.all(known.map(ask));
}

/** By domain and id. A node that has left is shown once, and only if it is connected nowhere. */
function merged(nodes: readonly config.Node[]): config.Node[] {
  const connected = nodes.filter((node) => node.connected);
  const shown = new Set(connected.map(nameOf));
  const departed = nodes
    .filter((node) => !node.connected)
    .sort((a, b) => b.connectedAtMs - a.connectedAtMs)
    .filter((node) => !shown.has(nameOf(node)) && shown.add(nameOf(node)));
  return [...connected, ...departed].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

function nameOf({ domain, id }: config.Node): string {
  return `${domain}\n${id}`;
}
