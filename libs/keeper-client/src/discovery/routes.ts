import { discovery } from '@malabar/contracts';
import type { Balancer, Directory, Endpoint, Route } from '@malabar/rpc';
import { PolicyBalancer } from './policy-balancer.js';
import type { Known, ServiceWatch } from './service-watch.js';

export interface RoutesOptions {
  watch: ServiceWatch;
  /** Which of an instance's addresses: `grpc`, `http`, ... */
  scheme: string;
  /** Where the caller stands. */
  zone: string;
  random: () => number;
}

/** The services of the keeper as a directory for calls. */
export function createRoutes({ watch, scheme, zone, random }: RoutesOptions): Directory {
  return {
    watch(service, listener) {
      const balancerOf = keepBalancer(zone, random);
      return watch.follow(service, (known) =>
        listener(toRoute(service, scheme, known, balancerOf(known.service?.policy))),
      );
    },
  };
}

/** One balancer for as long as the policy is the same: it remembers the turns. */
function keepBalancer(zone: string, random: () => number) {
  let last = '';
  let balancer: Balancer | undefined;
  return (given: discovery.Policy | undefined): Balancer => {
    const policy = given ?? discovery.Policy.fromPartial({});
    const text = JSON.stringify(policy);
    if (balancer === undefined || text !== last) {
      balancer = new PolicyBalancer({ policy, zone, random });
    }
    last = text;
    return balancer;
  };
}

function toRoute(name: string, scheme: string, known: Known, balancer: Balancer): Route {
  const instances = known.service?.instances ?? [];
  const endpoints = instances.flatMap((instance) => endpointOf(instance, scheme));
  return { endpoints, balancer, reason: reasonOf(name, scheme, known) };
}

/** None for an instance that gets no calls, or none of this kind. */
function endpointOf(instance: discovery.Instance, scheme: string): Endpoint[] {
  const { id, addresses, weight, zone, suspect } = instance;
  const address = addresses[scheme];
  return address === undefined || weight === 0 ? [] : [{ id, address, weight, zone, suspect }];
}

function reasonOf(name: string, scheme: string, { service, reason }: Known): string {
  if (service === undefined) return `no ${name} is known: ${reason}`;
  if (service.instances.length === 0) return `the keeper knows no running ${name}`;
  return `none of ${service.instances.length} ${name} takes calls by ${scheme}`;
}
