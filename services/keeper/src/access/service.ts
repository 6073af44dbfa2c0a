import { authorOf, principalOf } from '@malabar/access';
import type { access } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Logins } from './logins.js';
import type { Tokens } from './tokens.js';
import type { Users } from './users.js';

export interface AccessServiceOptions {
  logins: Logins;
  users: Users;
  tokens: Tokens;
}

/** The contract: translates and calls, nothing else. */
export function createAccessService({
  logins,
  users,
  tokens,
}: AccessServiceOptions): Implementation<typeof access.AccessServiceDefinition> {
  return {
    login: (request, { peer }) => logins.login(request, peer),
    async whoAmI(_, context) {
      const { name, grants, expiresAtMs = 0 } = principalOf(context);
      return { name, grants: [...grants], expiresAtMs };
    },
    listUsers: async (_, context) => ({ users: await users.list(principalOf(context)) }),
    putUser: async (request, context) => ({
      user: await users.put(request, principalOf(context), authorOf(context)),
    }),
    async deleteUser({ name }, context) {
      await users.delete(name, authorOf(context));
      return {};
    },
    createToken: (request, context) =>
      tokens.create(request, principalOf(context), authorOf(context)),
    listTokens: async (_, context) => ({ tokens: await tokens.list(principalOf(context)) }),
    async revokeToken({ id }, context) {
      await tokens.revoke(id, principalOf(context), authorOf(context));
      return {};
    },
  };
}
