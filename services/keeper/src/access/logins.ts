import { type Author, makeSessionKey, makeSessionToken, type People } from '@malabar/access';
import type { access } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { LoginThrottle } from './login-throttle.js';
import type { PasswordGate } from './password-gate.js';
import { withSessionKey } from './people-files.js';
import type { PeopleView } from './people-view.js';
import type { PeopleWriter } from './people-writer.js';

const SESSION_MS = 12 * 3_600_000;

export interface LoginsOptions {
  view: PeopleView;
  writer: PeopleWriter;
  gate: PasswordGate;
  clock: Clock;
  log: Logger;
}

/** Logs people in. */
export class Logins {
  readonly #options: LoginsOptions;
  readonly #throttle: LoginThrottle;

  constructor(options: LoginsOptions) {
    this.#options = options;
    this.#throttle = new LoginThrottle(options.clock);
  }

  /** A session of 12 h. Throws WRONG_PASSWORD, FORBIDDEN for who is disabled, BUSY after many tries. */
  async login(
    { user, password }: access.LoginRequest,
    peer: string,
  ): Promise<access.LoginResponse> {
    const { view, gate, clock, log } = this.#options;
    const known = (await view.refresh()).people.users.get(user);
    const attempt = this.#throttle.begin(user, peer);
    if (!(await gate.verify(password, known?.passwordHash))) {
      // An unknown name is not written down: it may be a password in the wrong field.
      log.warn({ user: known ? user : '(unknown)', peer }, 'a login failed');
      throw wrong();
    }
    attempt.succeeded();
    const by = { name: user, from: peer };
    const session = await sessionKey(view, this.#options.writer, by);
    // Once more: meanwhile the password that was right may be the old one.
    const person = view.people?.users.get(user);
    if (person?.passwordHash !== known?.passwordHash) throw wrong();
    if (person === undefined || person.disabled) {
      throw new BusError('FORBIDDEN', `${user} is disabled`);
    }
    const expiresAtMs = clock.now() + SESSION_MS;
    const claims = { bus: session.bus, user, stamp: person.stamp, expiresAtMs };
    return { token: makeSessionToken(claims, session.key), expiresAtMs };
  }
}

function wrong(): BusError {
  return new BusError('WRONG_PASSWORD', 'wrong user or password');
}

/** The key that signs the sessions of this bus, and the bus's name in tokens; made at first need. */
export async function sessionKey(
  view: PeopleView,
  writer: PeopleWriter,
  by: Author,
): Promise<NonNullable<People['session']>> {
  const known = view.people?.session;
  if (known !== undefined) return known;
  const fresh = makeSessionKey();
  const { session } = await writer.write(by, 'the key of sessions', ({ files, people }) =>
    people.session === undefined ? withSessionKey(files, fresh) : files,
  );
  return session ?? fresh;
}
