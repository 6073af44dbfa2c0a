import { connect } from 'node:net';
import type { dispatcher, keeper } from '@malabar/contracts';
import { parseListenAddress } from '@malabar/core';
import { byTopic, whyBlocked } from '../dispatchers.js';
import { type Finding, fine, wrong } from './check.js';

const CONNECT_MS = 2_000;

/** Does something listen at each FastCGI address that the queues name? */
export function checkFastcgi(config: keeper.BusConfig): Promise<Finding[]> {
  const users = new Map<string, string[]>();
  for (const queue of config.queues) {
    for (const { name, target } of queue.topics) {
      if (target?.$case !== 'fastcgi') continue;
      const { address } = target.value;
      users.set(address, [...(users.get(address) ?? []), `${queue.name}/${name}`]);
    }
  }
  return Promise.all([...users].map(([address, topics]) => checkSocket(address, topics)));
}

async function checkSocket(address: string, topics: string[]): Promise<Finding> {
  const subject = `php-fpm ${address}`;
  const fault = await tryConnect(address);
  if (fault === undefined) return fine(subject, `listens (${topics.join(', ')})`);
  return wrong(subject, `${fault} (${topics.join(', ')})`, remedy(fault, address));
}

function remedy(fault: string, address: string): string {
  if (fault === 'EACCES')
    return `let this user in: listen.owner, listen.group, listen.mode of the pool`;
  if (fault === 'ENOENT') return `no such socket: start php-fpm or correct the path (listen = ...)`;
  return `start php-fpm, or correct the address; its pool must say listen = ${address.replace(/^unix:/, '')}`;
}

/** Undefined if a connection opens, else the error code. */
export function tryConnect(address: string): Promise<string | undefined> {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined;
  const socket = connect(path === undefined ? parseListenAddress(address) : { path });
  return new Promise((resolve) => {
    const end = (fault: string | undefined): void => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(CONNECT_MS, () => end('no answer'));
    socket.once('connect', () => end(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

/** Does a dispatcher take deliveries, and is every topic delivered by one of them? */
export function checkDelivery(dispatchers: readonly dispatcher.ListTargetsResponse[]): Finding[] {
  const drained = dispatchers.flatMap(({ node, drained }) => {
    if (drained === '') return [];
    return [wrong(`dispatcher ${node}`, drained, `malabar dispatchers resume ${node}`)];
  });
  const topics = byTopic(dispatchers.flatMap(({ targets }) => targets));
  return [...drained, ...[...topics].map(([path, statuses]) => checkTopic(path, statuses))];
}

function checkTopic(path: string, statuses: readonly dispatcher.TargetStatus[]): Finding {
  const subject = `topic ${path}`;
  const [{ kind = '', address = '', lacks = '' } = {}] = statuses;
  const where = [kind, address].filter(Boolean).join(' ');
  const blocked = whyBlocked(statuses);
  const nowhere = blocked !== '' && statuses.every((status) => status.lacks !== '');
  const todo = nowhere
    ? `give ${lacks} to a dispatcher (dispatcher.tags, node); its jobs wait`
    : 'see to the consumer; its jobs wait';
  if (blocked) return wrong(subject, `${where}: ${blocked}`, todo);
  const sum = (key: 'workers' | 'running' | 'concurrency'): number =>
    statuses.reduce((total, status) => total + (status.lacks === '' ? status[key] : 0), 0);
  const load =
    kind === 'grpc'
      ? `${sum('workers')} workers`
      : `${sum('running')} of ${sum('concurrency')} running`;
  return fine(subject, `${where}, ${load}`);
}
