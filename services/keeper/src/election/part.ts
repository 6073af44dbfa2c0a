import { electionRules, guard } from '@malabar/access';
import { election } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { KeeperContext, KeeperPart } from '../part.js';
import { Election } from './election.js';
import { createElectionService } from './service.js';

/** Elections and locks. */
export async function createElection(context: KeeperContext): Promise<KeeperPart> {
  const { backend, access, log, metrics } = context;
  const heart = new Election({ backend, log, metrics });
  await heart.start();
  const { ElectionServiceDefinition: definition } = election;
  const service = createElectionService(heart);
  const guarded = guard(definition, service, electionRules, access.authenticate);
  return {
    bindings: [bind(definition, guarded, { access: 'public' })],
    // Who looks on is not worth waiting for.
    drain: async () => heart.stop(),
    stop: () => heart.stop(),
  };
}
