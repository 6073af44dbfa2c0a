import { BusError, toBusError } from '@malabar/core';
import { replyEncoder } from '@malabar/resp';
import type { Connection, Reply } from '../connection.js';
import { errorText } from '../error-text.js';
import { client } from './client-command.js';
import { ANY_NUMBER, type RedisCommands } from './command.js';
import type { RedisSession } from './session.js';

/** The level of Redis that clients may take us for. */
export const REDIS_VERSION = '7.2.0';

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
const NAME_THE_QUEUE =
  'WRONGPASS passwords belong to queues: AUTH <queue> <password> or AUTH <queue>:<password>';

/** What a client says about itself and its connection. */
export const connectionCommands: RedisCommands = {
  HELLO: {
    argumentsMin: 0,
    argumentsMax: ANY_NUMBER,
    summary: 'Chooses the protocol version; AUTH and SETNAME as in redis.',
    flags: ['fast', 'noscript'],
    key: 0,
    run: hello,
  },
  AUTH: {
    argumentsMin: 1,
    argumentsMax: 2,
    summary: 'Proves a queue or queue/topic by its password; identities add up until RESET.',
    flags: ['fast', 'noscript'],
    key: 0,
    run: auth,
  },
  CLIENT: client,
  SELECT: {
    argumentsMin: 1,
    argumentsMax: 1,
    summary: 'Accepts database 0, the only one.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      const text = connection.parser.text(1);
      if (text === '0') return session.encoder.simple('OK');
      return session.encoder.error('ERR DB index is out of range: there is only 0');
    },
  },
  PING: {
    argumentsMin: 0,
    argumentsMax: 1,
    summary: 'Answers PONG or the message.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      const { parser } = connection;
      const { encoder } = session;
      const echo = parser.count > 1 ? encoder.bytes(parser.argument(1)) : encoder.simple('PONG');
      return echo;
    },
  },
  ECHO: {
    argumentsMin: 1,
    argumentsMax: 1,
    summary: 'Answers the message.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      return session.encoder.bytes(connection.parser.argument(1));
    },
  },
  QUIT: {
    argumentsMin: 0,
    argumentsMax: ANY_NUMBER,
    summary: 'Closes the connection once everything before is answered.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      connection.end();
      return session.encoder.simple('OK');
    },
  },
  RESET: {
    argumentsMin: 0,
    argumentsMax: 0,
    summary: 'Back to RESP2, no name and no identity.',
    flags: ['fast'],
    key: 0,
    run(session, _connection) {
      session.reset();
      return session.encoder.simple('RESET');
    },
  },
};

function auth(session: RedisSession, connection: Connection): Reply {
  const { parser } = connection;
  const user = parser.count === 3 ? parser.text(1) : 'default';
  const password = parser.text(parser.count - 1);
  return authenticate(session, connection, user, password, () => session.encoder.simple('OK'));
}

/** Replies `success()` or why not; later commands wait for a slow check. */
function authenticate(
  session: RedisSession,
  connection: Connection,
  user: string,
  password: string,
  success: () => string,
): Reply {
  const login = namedLogin(user, password);
  if (login === undefined) return session.encoder.error(NAME_THE_QUEUE);
  const verdict = (right: boolean): string => {
    session.pusher.forget();
    return right ? success() : session.encoder.error(WRONG_PASSWORD);
  };
  const right = session.access.login(login.identity, login.password);
  if (typeof right === 'boolean') return verdict(right);
  return connection.hold(() => right.then(verdict));
}

/** Clients that know only a password, or insist on the user `default`, write queue:password. */
function namedLogin(
  user: string,
  password: string,
): { identity: string; password: string } | undefined {
  if (user !== 'default') return { identity: user, password };
  const colon = password.indexOf(':');
  if (colon <= 0) return undefined;
  return { identity: password.slice(0, colon), password: password.slice(colon + 1) };
}

interface Hello {
  protocol: 2 | 3;
  user?: string;
  password?: string;
  name?: string;
}

function hello(session: RedisSession, connection: Connection): Reply {
  const { parser } = connection;
  const words = Array.from({ length: parser.count - 1 }, (_, i) => parser.text(i + 1));
  const [version = String(session.encoder.protocol)] = words;
  if (version !== '2' && version !== '3') {
    return session.encoder.error('NOPROTO unsupported protocol version');
  }
  let wish: Hello;
  try {
    wish = parseHello(version === '3' ? 3 : 2, words.slice(1));
  } catch (thrown) {
    return errorText(toBusError(thrown));
  }
  const greet = (): string => {
    session.encoder = replyEncoder(wish.protocol);
    if (wish.name !== undefined) session.name = wish.name;
    return greeting(session);
  };
  if (wish.user === undefined) return greet();
  return authenticate(session, connection, wish.user, wish.password ?? '', greet);
}

function parseHello(protocol: 2 | 3, words: readonly string[]): Hello {
  const wish: Hello = { protocol };
  for (let i = 0; i < words.length; ) {
    const option = (words[i] as string).toUpperCase();
    if (option === 'AUTH' && i + 2 < words.length) {
      wish.user = words[i + 1];
      wish.password = words[i + 2];
      i += 3;
    } else if (option === 'SETNAME' && i + 1 < words.length) {
      wish.name = words[i + 1];
      i += 2;
    } else throw new BusError('INVALID', `Syntax error in HELLO option '${words[i]}'`);
  }
  return wish;
}

function greeting(session: RedisSession): string {
  const { encoder } = session;
  return encoder.map([
    ['server', encoder.bulk('malabar')],
    ['version', encoder.bulk(REDIS_VERSION)],
    ['proto', encoder.integer(encoder.protocol)],
    ['id', encoder.integer(session.id)],
    ['mode', encoder.bulk('standalone')],
    ['role', encoder.bulk('master')],
    ['modules', encoder.array([])],
  ]);
}
