import { election } from '@malabar/contracts';
import { bind, type Client, local } from '@malabar/rpc';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { logToMemory } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Backend } from '../backend.js';
import type { Place } from '../backends.suite.js';
import { Election } from './election.js';
import { createElectionService } from './service.js';

/** The elections of one keeper, and its clients' view of them. */
export interface Keeper {
  heart: Election;
  client: Client<typeof election.ElectionServiceDefinition>;
}

export async function startKeeper(backend: Backend): Promise<Keeper> {
  const { log } = logToMemory<Logger>();
  const heart = new Election({ backend, log, metrics: createMetrics() });
  await heart.start();
  onTestFinished(() => heart.stop());
  const service = createElectionService(heart);
  const client = local<typeof election.ElectionServiceDefinition>(
    bind(election.ElectionServiceDefinition, service),
  );
  return { heart, client };
}

/** Two keepers on the same data. */
export async function twoKeepers(place: Place): Promise<[Keeper, Keeper]> {
  return [await startKeeper(place.backend), await startKeeper(await place.another())];
}
