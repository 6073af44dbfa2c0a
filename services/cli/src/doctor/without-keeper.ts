import type { MalabarConfig } from '@malabar/config';
import { dispatcher } from '@malabar/contracts';
import { connect } from '@malabar/rpc';
import { readProcessNotes } from '@malabar/runtime';
import { type Finding, wrong } from './check.js';
import { checkServices, type Instance } from './services.js';
import { checkDelivery } from './targets.js';

const MISSING =
  'until then nobody can change queues, topics, people or rights, log in or publish, and no service ' +
  'is found at a new address';

/**
 * What can be seen of a bus whose keeper does not answer: the processes that have left a note in the
 * data folder of this machine. Undefined if there is none.
 */
export async function lookWithoutKeeper(
  { data, grpc }: Pick<MalabarConfig, 'data' | 'grpc'>,
  addresses: readonly string[],
  timeoutMs: number,
): Promise<Finding[] | undefined> {
  const notes = await readProcessNotes(data);
  if (notes.length === 0) return undefined;
  const instances = notes.flatMap(({ services, grpcAddress, opsAddress }) =>
    services.map((service): Instance => {
      return { service, addresses: { grpc: grpcAddress, ops: opsAddress } };
    }),
  );
  const away = wrong(
    'keeper',
    `does not answer at ${addresses.join(' or ')}; jobs are taken and delivered all the same`,
    `start it: malabar start keeper; ${MISSING}`,
  );
  const others = instances.filter(({ service }) => service !== 'keeper');
  const services = await checkServices(others, { keeperAway: true });
  const address = others.find(({ service }) => service === 'dispatcher')?.addresses.grpc;
  const delivery = address === undefined ? [] : await deliveryOf(address, grpc, timeoutMs);
  return [away, ...services, ...delivery];
}

async function deliveryOf(
  address: string,
  { token, tls }: MalabarConfig['grpc'],
  timeoutMs: number,
): Promise<Finding[]> {
  const client = connect(dispatcher.DispatcherServiceDefinition, { address, token, tls });
  try {
    return checkDelivery([await client.listTargets({ queue: '' }, { timeoutMs })]);
  } catch {
    // That it does not answer has been said.
    return [];
  } finally {
    client.close();
  }
}
