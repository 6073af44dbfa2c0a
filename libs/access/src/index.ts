export { type Authenticator, authenticator } from './authenticator.js';
export {
  type Filtered,
  guard,
  type May,
  type Need,
  need,
  type Rule,
  type Rules,
  somewhere,
} from './guard.js';
export {
  formatGrants,
  NOBODY,
  PEOPLE_DOMAIN,
  type People,
  type Person,
  type ProgramToken,
  parseGrants,
  peopleSubscription,
  readPeople,
  SESSION_FILE,
  TOKENS_FILE,
  USERS_FILE,
} from './people.js';
export {
  type Author,
  allowed,
  authorOf,
  BUS,
  LOCAL,
  type Principal,
  principalOf,
  RESERVED_NAMES,
} from './principal.js';
export { QueueSystems } from './queue-systems.js';
export { EVERYWHERE, intersection, ROLES, type RoleName, roleName, roleOf } from './role.js';
export {
  accessRules,
  configRules,
  discoveryRules,
  dispatcherRules,
  electionRules,
  ingestRules,
  mayReceiveDomain,
  metricsRules,
  type SystemOf,
  schedulerRules,
  sourceRules,
  storageRules,
  syncRules,
  workerRules,
} from './rules.js';
export {
  isUserToken,
  makeProgramToken,
  makeSessionKey,
  makeSessionToken,
} from './token.js';
