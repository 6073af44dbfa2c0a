import type { Author } from '@malabar/access';
import type { config } from '@malabar/contracts';
import type { CallContext, Implementation } from '@malabar/rpc';
import type { ConfigStore } from './store.js';

/** The contract: translates and calls, nothing else. */
export function createConfigService(
  store: ConfigStore,
  authorOf: (context: CallContext) => Author,
): Implementation<typeof config.ConfigServiceDefinition> {
  return {
    listDomains: async () => ({ domains: store.listDomains() }),
    getDomain: async ({ domain }) => ({ domain: store.getDomain(domain) }),
    putDomain: async (request, context) => ({
      domain: await store.putDomain(request, authorOf(context)),
    }),
    async deleteDomain(request, context) {
      await store.deleteDomain(request, authorOf(context));
      return {};
    },
    getFiles: (request, context) => store.getFiles(request, authorOf(context)),
    getEffective: async (request) => ({ config: await store.getEffective(request) }),
    diff: async (request) => ({ changes: await store.diff(request) }),
    editDraft: (request, context) => store.editDraft(request, authorOf(context)),
    async discardDraft(request, context) {
      await store.discardDraft(request, authorOf(context));
      return {};
    },
    validate: (request) => store.validate(request),
    publish: (request, context) => store.publish(request, authorOf(context)),
    promote: (request, context) => store.promote(request, authorOf(context)),
    abort: (request, context) => store.abort(request, authorOf(context)),
    rollback: (request, context) => store.rollback(request, authorOf(context)),
    listReleases: async (request) => ({ releases: await store.listReleases(request) }),
    listAudit: (request) => store.listAudit(request),
    listNodes: (request) => store.listNodes(request),
    rotateSecretKey: (_, context) => store.rotateSecretKey(authorOf(context)),
  };
}
