import type { Connection } from '../connection.js';
import { ANY_NUMBER, type RedisCommand } from './command.js';
import type { RedisSession } from './session.js';

/** CLIENT: what libraries say when they connect, and what a person looks up. */
export const client: RedisCommand = {
  argumentsMin: 1,
  argumentsMax: ANY_NUMBER,
  summary: 'SETNAME, GETNAME, SETINFO, ID, INFO, LIST (this connection), NO-EVICT, NO-TOUCH.',
  flags: ['fast'],
  key: 0,
  run(session, connection) {
    const { parser } = connection;
    const name = parser.text(1).toUpperCase();
    const sub = SUBCOMMANDS[name];
    if (sub === undefined) {
      const text = `unknown subcommand '${parser.text(1)}'. Try ${Object.keys(SUBCOMMANDS).join(', ')}.`;
      return session.encoder.error(`ERR ${text}`);
    }
    if (parser.count - 2 !== sub.arguments && sub.arguments >= 0) {
      const text = `wrong number of arguments for 'client|${name.toLowerCase()}' command`;
      return session.encoder.error(`ERR ${text}`);
    }
    return sub.run(session, connection);
  },
};

interface Subcommand {
  /** Behind the subcommand's name; -1 for any number. */
  arguments: number;
  run(session: RedisSession, connection: Connection): string;
}

const ok = (session: RedisSession): string => session.encoder.simple('OK');

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  SETNAME: {
    arguments: 1,
    run(session, connection) {
      const name = connection.parser.text(2);
      if (!/^[!-~]*$/.test(name)) {
        const text = 'Client names cannot contain spaces, newlines or special characters.';
        return session.encoder.error(`ERR ${text}`);
      }
      session.name = name;
      return ok(session);
    },
  },
  GETNAME: {
    arguments: 0,
    run: ({ name, encoder }) => (name === '' ? encoder.nil() : encoder.bulk(name)),
  },
  SETINFO: {
    arguments: 2,
    run(session, connection) {
      const { parser } = connection;
      const what = parser.text(2).toUpperCase();
      if (what === 'LIB-NAME') session.library = parser.text(3).slice(0, 64);
      else if (what === 'LIB-VER') session.libraryVersion = parser.text(3).slice(0, 64);
      else return session.encoder.error(`ERR Unrecognized option '${parser.text(2)}'`);
      return ok(session);
    },
  },
  ID: { arguments: 0, run: (session) => session.encoder.integer(session.id) },
  INFO: { arguments: 0, run: (session) => session.encoder.verbatim(`${description(session)}\n`) },
  LIST: { arguments: -1, run: (session) => session.encoder.verbatim(`${description(session)}\n`) },
  'NO-EVICT': { arguments: 1, run: ok },
  'NO-TOUCH': { arguments: 1, run: ok },
};

function description(session: RedisSession): string {
  const { id, address, name, encoder, library, libraryVersion } = session;
  return (
    `id=${id} addr=${address} name=${name} db=0 resp=${encoder.protocol} ` +
    `lib-name=${library} lib-ver=${libraryVersion}`
  );
}
