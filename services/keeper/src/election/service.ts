import type { election } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Election } from './election.js';
import { checkElectionName } from './names.js';

/** The contract: translates and calls, nothing else. */
export function createElectionService(
  heart: Election,
): Implementation<typeof election.ElectionServiceDefinition> {
  return {
    async acquire({ name, holder, ttlMs }) {
      const holding = await heart.acquire(name, holder, ttlMs);
      return { holder: holding.holder, token: holding.holder === holder ? holding.token : 0 };
    },
    async renew({ name, holder, token }) {
      await heart.renew(name, holder, token);
      return {};
    },
    async release({ name, holder, token }) {
      await heart.release(name, holder, token);
      return {};
    },
    async *observe({ name }, { signal }) {
      checkElectionName(name);
      for await (const { holder, token } of heart.view.observe(name, signal)) {
        yield { holder, token };
      }
    },
  };
}
