import { BusError, CLOSED_HASH } from '@malabar/core';
import type { CallContext } from '@malabar/rpc';
import { Access, type AccessRules } from './access.js';
import { readBasic } from './http/basic.js';
import type { IntakeQueue } from './intake.js';

/** Services of the bus in other processes name themselves, beside what makes them trusted. */
const SERVICE_HEADER = 'malabar-service';

/** Who pushes over gRPC. */
export interface Caller {
  /** A service of the bus: it may say what only the bus says. */
  readonly ours: boolean;
  /** Why he must not push to the queue; undefined if he may. */
  pushRefusal(queue: IntakeQueue): BusError | undefined;
}

export interface CallerRules {
  rules: AccessRules;
  /** Queues without a password are open on the gRPC listener. */
  open: boolean;
  /** The listener asks for a token or a certificate: who is trusted has proven to be one of ours. */
  guarded: boolean;
}

const A_SERVICE: Caller = { ours: true, pushRefusal: () => undefined };

/** Where nobody can prove anything, a service's word opens what the bus made for itself, and no password. */
const BY_HIS_WORD: Caller = {
  ours: true,
  pushRefusal({ name, config }) {
    if (config?.passwordHash === '' || config?.passwordHash === CLOSED_HASH) return undefined;
    const remedy = 'set grpc.token, so that services in other processes can prove what they are';
    return new BusError('UNAUTHENTICATED', `${name} has a password: ${remedy}`);
  },
};

/** A service of the bus may push everywhere; everybody else shows the queue's password. */
export async function callerOf(
  { rules, open, guarded }: CallerRules,
  { metadata, peer, trusted }: CallContext,
): Promise<Caller> {
  if (peer === 'local') return A_SERVICE;
  if (trusted && metadata.has(SERVICE_HEADER)) return guarded ? A_SERVICE : BY_HIS_WORD;
  const access = new Access(rules, open || trusted);
  const authorization = metadata.get('authorization');
  // A token says who calls, not which queues he may use; the server has looked at it.
  const isToken = /^bearer /i.test(authorization ?? '');
  const basic = isToken ? undefined : readBasic(authorization);
  if (basic && !(await access.login(basic[0], basic[1]))) {
    throw new BusError('WRONG_PASSWORD', `wrong password for ${JSON.stringify(basic[0])}`);
  }
  return { ours: false, pushRefusal: (queue) => access.pushRefusal(queue) };
}
