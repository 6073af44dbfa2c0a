import {
  type Authenticator,
  accessRules,
  authenticator,
  guard,
  LOCAL,
  PEOPLE_DOMAIN,
  type SystemOf,
  USERS_FILE,
} from '@malabar/access';
import { access } from '@malabar/contracts';
import { type Binding, bind } from '@malabar/rpc';
import type { ModuleContext } from '@malabar/runtime';
import type { ConfigStore } from '../config/store.js';
import { Logins } from './logins.js';
import { PasswordGate } from './password-gate.js';
import { peopleFaults } from './people-rules.js';
import { PeopleView } from './people-view.js';
import { PeopleWriter } from './people-writer.js';
import { createAccessService } from './service.js';
import { Tokens } from './tokens.js';
import { Users } from './users.js';

/** What the keeper's other parts need to know who calls and what he may. */
export interface KeeperAccess {
  authenticate: Authenticator;
  /** The system that a domain belongs to. */
  systemOf: SystemOf;
  /** AccessService. */
  binding: Binding;
  stop(): void;
}

const BY_ITSELF = { name: LOCAL.name, from: LOCAL.name };
const NO_USERS = [{ path: USERS_FILE, sections: [], parent: '', schema: '' }];

/** People and their rights, out of the release store and into it. */
export async function openAccess(
  { clock, log }: Pick<ModuleContext, 'clock' | 'log'>,
  store: ConfigStore,
): Promise<KeeperAccess> {
  const view = new PeopleView({ store, clock, log });
  store.addValidator(PEOPLE_DOMAIN, (files) => peopleFaults(files, view.people));
  const settings = { description: 'People, tokens and rights.' };
  await store.ensureDomain(PEOPLE_DOMAIN, settings, BY_ITSELF);
  await view.start();
  const writer = new PeopleWriter(store, view);
  // That there is nobody is said too: who knows nothing yet cannot tell a token from a wrong one.
  await writer.write(BY_ITSELF, 'the bus begins', (before) =>
    before.release === 0 ? NO_USERS : before.files,
  );
  const gate = new PasswordGate();
  const service = createAccessService({
    logins: new Logins({ view, writer, gate, clock, log }),
    users: new Users(view, writer, gate),
    tokens: new Tokens(view, writer, clock),
  });
  const authenticate = authenticator(() => view.people, clock);
  const { AccessServiceDefinition: definition } = access;
  const guarded = guard(definition, service, accessRules, authenticate);
  return {
    authenticate,
    systemOf: (domain) => store.domains.get(domain)?.record.settings?.system ?? '',
    binding: bind(definition, guarded, { access: 'public' }),
    stop: () => view.stop(),
  };
}
