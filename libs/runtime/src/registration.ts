import { hostname } from 'node:os';
import {
  formatListenAddress,
  isWildcard,
  parseListenAddress,
  type ServiceName,
} from '@malabar/core';
import type { InstanceToRegister } from '@malabar/keeper-client';

export interface ProcessFacts {
  node: string;
  startedAtMs: number;
  /** Where the process listens for all its services. */
  shared: { grpc: string; ops: string };
  /** Each service and where it listens beside that, by name. */
  services: ReadonlyArray<{ name: ServiceName; addresses: Readonly<Record<string, string>> }>;
}

/** The services of a process as the keeper is told of them. */
export function instancesOf(facts: ProcessFacts): InstanceToRegister[] {
  const { node, startedAtMs, shared, services } = facts;
  return services.map(({ name, addresses }) => ({
    id: node,
    service: name,
    addresses: reachable({ ...addresses, ...shared }),
    tags: { node },
    startedAtMs,
  }));
}

/** The addresses that others are told: a listener on every interface is reached by the host's name. */
function reachable(addresses: Readonly<Record<string, string>>): Record<string, string> {
  const told = Object.entries(addresses).map(([scheme, address]) => {
    const { host, port } = parseListenAddress(address);
    return [scheme, isWildcard(host) ? formatListenAddress({ host: hostname(), port }) : address];
  });
  return Object.fromEntries(told);
}
