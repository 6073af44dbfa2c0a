import type { keeper } from '@malabar/contracts';
import { type Finding, fine, wrong } from './check.js';

const READY_MS = 2_000;
const USUAL = ['keeper', 'storage', 'ingest', 'dispatcher'];

/** Is every instance that the keeper knows ready, and is there one of each that jobs need? */
export async function checkServices(instances: readonly keeper.Instance[]): Promise<Finding[]> {
  const present = await Promise.all(instances.map(checkInstance));
  const absent = USUAL.filter((name) => !instances.some(({ service }) => service === name));
  return [
    ...present,
    ...absent.map((name) => wrong(name, 'not registered', `start it: malabar start ${name}`)),
  ];
}

async function checkInstance({ service, address, opsAddress }: keeper.Instance): Promise<Finding> {
  const where = `at ${address}`;
  try {
    const answer = await fetch(`http://${opsAddress}/readyz`, {
      signal: AbortSignal.timeout(READY_MS),
    });
    if (answer.ok) return fine(service, `ready ${where}`);
    const reasons = (await answer.text()).trim().replaceAll(/\s*\n\s*/g, '; ');
    return wrong(service, `not ready ${where}: ${reasons}`, 'see the log of its process');
  } catch {
    const todo = `see whether its process lives; its health is http://${opsAddress}/readyz`;
    return wrong(service, `registered ${where} but does not answer`, todo);
  }
}
