import type { discovery } from '@malabar/contracts';
import type { KeeperStatus } from '@malabar/runtime';
import { formatTime } from '../format.js';
import { type Finding, fine, wrong } from './check.js';

const READY_MS = 2_000;
const USUAL = ['keeper', 'storage', 'ingest', 'dispatcher'];

/** The part of an instance that is looked at. */
export type Instance = Pick<discovery.Instance, 'service' | 'addresses'>;

/** What /readyz of a process says. */
interface Health {
  ready: boolean;
  reasons: string[];
  keeper?: KeeperStatus;
}

/**
 * Is every instance ready, and is there one of each service that jobs need? `keeperAway`: it is known
 * that no keeper answers, so that an instance without one is well.
 */
export async function checkServices(
  instances: readonly Instance[],
  { keeperAway = false } = {},
): Promise<Finding[]> {
  // What is not ours has no health that we know of.
  const ours = instances.filter(({ addresses }) => addresses.ops !== undefined);
  const present = await Promise.all(ours.map((each) => checkInstance(each, keeperAway)));
  const needed = keeperAway ? USUAL.filter((name) => name !== 'keeper') : USUAL;
  const absent = needed.filter((name) => !instances.some(({ service }) => service === name));
  return [
    ...present,
    ...absent.map((name) => wrong(name, 'not registered', `start it: malabar start ${name}`)),
  ];
}

async function checkInstance(
  { service, addresses }: Instance,
  keeperAway: boolean,
): Promise<Finding> {
  const where = `at ${addresses.grpc}`;
  const health = await healthOf(addresses.ops ?? '');
  if (health === undefined) {
    const todo = `see whether its process lives; its health is http://${addresses.ops}/readyz`;
    return wrong(service, `registered ${where} but does not answer`, todo);
  }
  const { ready, reasons, keeper } = health;
  const seen = [ready ? `ready ${where}` : `not ready ${where}: ${reasons.join('; ')}`];
  if (keeper?.awaySinceMs !== undefined) seen.push(withoutKeeper(keeper, keeper.awaySinceMs));
  const text = seen.join('; ');
  if (!ready) return wrong(service, text, 'see the log of its process');
  if (seen.length === 1 || keeperAway) return fine(service, text);
  return wrong(service, text, 'see its log, and its addresses.keeper');
}

async function healthOf(address: string): Promise<Health | undefined> {
  try {
    const answer = await fetch(`http://${address}/readyz`, {
      signal: AbortSignal.timeout(READY_MS),
    });
    return (await answer.json()) as Health;
  } catch {
    return undefined;
  }
}

function withoutKeeper({ release, source }: KeeperStatus, sinceMs: number): string {
  const since = `without a keeper since ${formatTime(sinceMs)}`;
  if (release === 0) return `${since}, and without a configuration`;
  const from = source === 'snapshot' ? 'from its snapshot' : 'as the keeper last said';
  return `${since}, runs release ${release} ${from}`;
}
