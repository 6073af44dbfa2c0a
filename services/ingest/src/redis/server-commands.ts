import type { Connection, Reply } from '../connection.js';
import { ANY_NUMBER, type RedisCommand, type RedisCommands } from './command.js';
import { REDIS_VERSION } from './connection-commands.js';
import type { RedisSession } from './session.js';

/** What tools ask of a server. None of it asks storage, so it answers under any load. */
export const serverCommands: RedisCommands = {
  INFO: {
    argumentsMin: 0,
    argumentsMax: ANY_NUMBER,
    summary: 'Figures of this ingest process.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      return session.encoder.verbatim(info(session, wanted(connection)));
    },
  },
  CONFIG: {
    argumentsMin: 1,
    argumentsMax: ANY_NUMBER,
    summary: 'GET of the few parameters that redis-benchmark and clients ask for.',
    flags: ['fast'],
    key: 0,
    run: config,
  },
};

function wanted(connection: Connection): string[] {
  const { parser } = connection;
  return Array.from({ length: parser.count - 1 }, (_, i) => parser.text(i + 1).toLowerCase());
}

function info(session: RedisSession, names: readonly string[]): string {
  const all = names.length === 0 || names.some((name) => /^(all|default|everything)$/.test(name));
  return sections(session.context)
    .filter(([title]) => all || names.includes(title.toLowerCase()))
    .map(([title, lines]) => `# ${title}\r\n${lines.map((line) => `${line}\r\n`).join('')}`)
    .join('\r\n');
}

function sections({ intake, figures, clock }: RedisSession['context']): [string, string[]][] {
  const queues = [...intake.queues].length;
  const notReady = intake.notReady();
  return [
    [
      'Server',
      [
        `redis_version:${REDIS_VERSION}`,
        'server_name:malabar',
        'redis_mode:standalone',
        `run_id:${figures.instanceId}`,
        `process_id:${process.pid}`,
        `uptime_in_seconds:${Math.floor((clock.now() - figures.startedAtMs) / 1000)}`,
      ],
    ],
    ['Clients', [`connected_clients:${figures.connections()}`]],
    ['Persistence', ['loading:0', 'aof_enabled:1']],
    ['Replication', ['role:master', 'connected_slaves:0']],
    [
      'Malabar',
      [
        `state:${notReady.length === 0 ? 'ready' : notReady.join('; ')}`,
        `jobs_accepted:${figures.accepted()}`,
        `jobs_refused:${figures.refused()}`,
        `bytes_in_flight:${intake.bytesInFlight}`,
        `queues:${queues}`,
      ],
    ],
    ['Keyspace', [`db0:keys=${queues},expires=0,avg_ttl=0`]],
  ];
}

/** Every accepted job is flushed to the disk, which is what `always` says in redis's words. */
const PARAMETERS: Readonly<Record<string, string>> = {
  save: '',
  appendonly: 'yes',
  appendfsync: 'always',
  databases: '1',
  'maxmemory-policy': 'noeviction',
};

function config(session: RedisSession, connection: Connection): Reply {
  const { encoder } = session;
  const [what, ...names] = wanted(connection);
  if (what !== 'get') {
    const text = `CONFIG ${what} is not supported: the configuration is malabar.yaml`;
    return encoder.error(`ERR ${text}`);
  }
  const all = names.includes('*');
  const found = Object.entries(PARAMETERS).filter(([name]) => all || names.includes(name));
  return encoder.map(found.map(([name, value]) => [name, encoder.bulk(value)] as const));
}

/** COMMAND, made from the table of all commands. */
export function createCommandCommand(table: () => RedisCommands): RedisCommand {
  return {
    argumentsMin: 0,
    argumentsMax: ANY_NUMBER,
    summary: 'Lists the commands: COUNT, LIST, INFO, DOCS.',
    flags: ['fast'],
    key: 0,
    run(session, connection) {
      const [what = 'info', ...names] = wanted(connection);
      return describe(session, table(), what, names);
    },
  };
}

function describe(
  session: RedisSession,
  table: RedisCommands,
  what: string,
  names: readonly string[],
): string {
  const { encoder } = session;
  const chosen = names.length > 0 ? names : Object.keys(table).map((name) => name.toLowerCase());
  const find = (name: string): RedisCommand | undefined => table[name.toUpperCase()];
  switch (what) {
    case 'count':
      return encoder.integer(Object.keys(table).length);
    case 'list':
      return encoder.array(chosen.map(encoder.bulk));
    case 'info':
      return encoder.array(chosen.map((name) => signature(session, name, find(name))));
    case 'docs': {
      const known = chosen.filter((name) => find(name));
      return encoder.map(known.map((name) => [name, docs(session, find(name) as RedisCommand)]));
    }
    default:
      return encoder.error(`ERR unknown subcommand '${what}'. Try COUNT, LIST, INFO, DOCS.`);
  }
}

function signature(
  { encoder }: RedisSession,
  name: string,
  command: RedisCommand | undefined,
): string {
  if (command === undefined) return encoder.nilArray();
  const { argumentsMin, argumentsMax, flags, key } = command;
  const arity = argumentsMin === argumentsMax ? argumentsMin + 1 : -(argumentsMin + 1);
  const none = encoder.array([]);
  return encoder.array([
    encoder.bulk(name),
    encoder.integer(arity),
    encoder.array(flags.map(encoder.simple)),
    encoder.integer(key),
    encoder.integer(key),
    encoder.integer(key),
    none,
    none,
    none,
    none,
  ]);
}

function docs({ encoder }: RedisSession, command: RedisCommand): string {
  return encoder.map([
    ['summary', encoder.bulk(command.summary)],
    ['group', encoder.bulk('malabar')],
  ]);
}
