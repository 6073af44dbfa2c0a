import { isIP } from 'node:net';
import { BusError } from './errors.js';

/** Where a server listens or is reached. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
}

/** Reads `host:port`, `[v6]:port` or `:port` (every interface). Throws INVALID. */
export function parseListenAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const valid = colon >= 0 && /^\d+$/.test(text.slice(colon + 1)) && port <= 65_535;
  if (!valid || (host.includes(':') && isIP(host) !== 6)) {
    throw new BusError('INVALID', `'${text}' is no host:port`);
  }
  return { host: host === '' ? '0.0.0.0' : host, port };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Only programs of this machine can reach a server that listens there. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    host === '::1' ||
    (isIP(host) === 4 && host.startsWith('127.')) ||
    /^::ffff:127\./i.test(host)
  );
}

/** Every interface: nobody can be told to connect to this host. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
