import type { discovery, metrics } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';

/** How long a process may take to hand over its figures. */
const FETCH_MS_MAX = 3_000;

/** More than a process ever has; a broken one must not fill our memory. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;

type DiscoveryClient = Client<typeof discovery.DiscoveryServiceDefinition>;

/** Reads the figures of every process that the keeper knows. */
export interface Gatherer {
  /** One entry a process, in the order of their names; one that does not answer says why. */
  gather(signal?: AbortSignal): Promise<metrics.ProcessFigures[]>;
}

export function createGatherer(client: DiscoveryClient, fetchMsMax = FETCH_MS_MAX): Gatherer {
  return {
    async gather(signal) {
      const { services } = await client.resolve({ services: [], env: '*' }, { signal });
      const processes = byProcess(services.flatMap(({ instances }) => instances));
      return Promise.all(processes.map((process) => read(process, fetchMsMax)));
    },
  };
}

/** The services of a process share its endpoint. */
interface Process {
  instanceId: string;
  opsAddress: string;
  services: string[];
}

function byProcess(instances: readonly discovery.Instance[]): Process[] {
  const processes = new Map<string, Process>();
  for (const { id, addresses, service, tags } of instances) {
    const opsAddress = addresses.ops;
    if (opsAddress === undefined) continue;
    const known = processes.get(opsAddress);
    if (known) known.services.push(service);
    else {
      const instanceId = tags.node || id;
      processes.set(opsAddress, { instanceId, opsAddress, services: [service] });
    }
  }
  return [...processes.values()].sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
}

async function read(
  { instanceId, opsAddress, services }: Process,
  fetchMsMax: number,
): Promise<metrics.ProcessFigures> {
  try {
    const text = await fetchText(`http://${opsAddress}/metrics`, fetchMsMax);
    return { instanceId, services, text, error: '' };
  } catch (thrown) {
    return { instanceId, services, text: '', error: reasonOf(thrown, opsAddress) };
  }
}

async function fetchText(url: string, fetchMsMax: number): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(fetchMsMax) });
  if (!response.ok) {
    await response.body?.cancel();
    throw new BusError('UNAVAILABLE', `HTTP ${response.status}`);
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > TEXT_BYTES_MAX) throw new BusError('TOO_LARGE', 'answers without an end');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function reasonOf(thrown: unknown, address: string): string {
  const { message, cause } = thrown as Error;
  const why = cause instanceof Error ? cause.message : message;
  return `${address}: ${why || 'no answer'}`;
}
