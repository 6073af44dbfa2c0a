export type ServerAddress = { path: string } | { host: string; port: number };

/** `unix:/path`, `host:port` or `[ipv6]:port`. Throws a TypeError on anything else. */
export function parseAddress(address: string): ServerAddress {
  if (address.startsWith('unix:/')) return { path: address.slice('unix:'.length) };
  const match = /^(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host !== undefined && port >= 1 && port <= 65535) return { host, port };
  throw new TypeError(`FastCGI address "${address}" is neither unix:/path nor host:port`);
}
