import { parseListenAddress } from '@malabar/core';
import { EtcdClient } from '@malabar/etcd';
import type { Command } from 'commander';
import { durationOption } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { readTextFile } from '../input-file.js';
import { readPassword } from '../password-input.js';

/** Options of every command that reads another system's etcd. */
export interface EtcdOptions {
  etcd: string;
  user?: string;
  passwordFile?: string;
  ca?: string;
  cert?: string;
  key?: string;
  timeout: string;
}

/** Where an etcd is, and how it is spoken to. */
export interface EtcdPlace {
  /** host:port of each member. */
  endpoints: string[];
  tls: boolean;
}

/** Adds the options that say where the etcd is and who asks. */
export function etcdOptions(command: Command): Command {
  return command
    .requiredOption('--etcd <url>', 'its etcd: host:port or a URL; several with commas between')
    .option('--user <name>', 'user of that etcd (MALABAR_ETCD_USER)')
    .option('--password-file <file>', "that user's password, - for stdin (MALABAR_ETCD_PASSWORD)")
    .option('--ca <file>', 'PEM of the authorities that an https etcd is checked against')
    .option('--cert <file>', 'PEM of the certificate to show to an https etcd')
    .option('--key <file>', 'PEM of its private key');
}

/** Runs `work` with a client of the etcd that the options name, and closes it. */
export async function withEtcd<T>(
  context: CommandContext,
  options: EtcdOptions,
  work: (client: EtcdClient) => Promise<T>,
): Promise<T> {
  const { endpoints, tls } = parseEtcd(options.etcd);
  const timeoutMs = durationOption('--timeout', options.timeout);
  const login = await loginOf(context, options);
  const client = new EtcdClient({ endpoints, ...login, tls: tlsOf(options, tls), timeoutMs });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** Reads `--etcd`: host:port, http://host:port or https://host:port, with commas between. */
export function parseEtcd(text: string): EtcdPlace {
  // What is said of a wrong address must not repeat a password that stands in it.
  if (text.includes('@')) {
    throw new CommandError(
      EXIT.usage,
      '--etcd: an address with a user or a password in it',
      'they are --user and --password-file, which other users of the machine do not see',
    );
  }
  const parts = text.split(',').map((part) => /^(?:(https?):\/\/)?([^/]+)\/?$/.exec(part.trim()));
  const endpoints = parts.map((part) => endpointOf(part?.[2], text));
  const secure = parts.map((part) => part?.[1] === 'https');
  if (new Set(secure).size > 1) {
    throw new CommandError(EXIT.usage, '--etcd: some members with https and some without');
  }
  return { endpoints, tls: secure[0] === true };
}

function endpointOf(address: string | undefined, text: string): string {
  try {
    parseListenAddress(address ?? '');
    return address as string;
  } catch {
    const hint = 'for example --etcd 10.0.0.7:2379,10.0.0.8:2379';
    throw new CommandError(EXIT.usage, `--etcd: '${text}' is not host:port or a URL of it`, hint);
  }
}

async function loginOf(
  context: CommandContext,
  { user: named, passwordFile }: EtcdOptions,
): Promise<{ user?: string; password?: string }> {
  const { MALABAR_ETCD_USER, MALABAR_ETCD_PASSWORD } = context.env;
  const user = named ?? (MALABAR_ETCD_USER || undefined);
  if (user === undefined) {
    if (passwordFile === undefined && !MALABAR_ETCD_PASSWORD) return {};
    throw new CommandError(EXIT.usage, 'a password of etcd, but no user', 'name one with --user');
  }
  if (passwordFile === undefined && MALABAR_ETCD_PASSWORD)
    return { user, password: MALABAR_ETCD_PASSWORD };
  const question = `Password of ${user} at etcd: `;
  return { user, password: await readPassword(context, { passwordFile }, { question }) };
}

function tlsOf(
  { ca, cert, key }: EtcdOptions,
  isSecure: boolean,
): Record<string, Buffer> | undefined {
  const given = Object.entries({ ca, cert, key }).filter(([, file]) => file !== undefined);
  if (!isSecure && given.length > 0) {
    throw new CommandError(EXIT.usage, `--${given[0]?.[0]} is for an etcd with https://`);
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new CommandError(EXIT.usage, '--cert and --key belong together');
  }
  if (!isSecure) return undefined;
  return Object.fromEntries(
    given.map(([name, file]) => [name, Buffer.from(readTextFile(file as string))]),
  );
}
