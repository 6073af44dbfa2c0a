import { discovery } from '@malabar/contracts';
import type { Balancer, Candidate } from '@malabar/rpc';
import { LeastInFlightBalancer } from './balancers/least-in-flight.js';
import { RandomBalancer } from './balancers/random.js';
import { RoundRobinBalancer } from './balancers/round-robin.js';
import { SmoothWeightedBalancer } from './balancers/smooth-weighted.js';

export interface PolicyBalancerOptions {
  policy: discovery.Policy;
  /** Where the caller stands. */
  zone: string;
  random: () => number;
}

/** Candidates of one zone, or of all where zones do not matter. */
interface Group {
  id: string;
  weight: number;
  candidates: readonly Candidate[];
}

/**
 * Chooses as a policy says: the zone first, by the zone weights for the caller's, then the instance.
 * Suspects get calls only when nobody else is left.
 */
export class PolicyBalancer implements Balancer {
  readonly #options: PolicyBalancerOptions;
  readonly #zones = new SmoothWeightedBalancer();
  readonly #inZone = new Map<string, Balancer>();
  #last: readonly Candidate[] | undefined;
  #groups: readonly Group[] = [];

  constructor(options: PolicyBalancerOptions) {
    this.#options = options;
  }

  pick<C extends Candidate>(candidates: readonly C[]): C {
    // The same list means the same candidates, so it is sorted into zones once, not for every call.
    if (candidates !== this.#last) this.#groups = this.#group(candidates);
    this.#last = candidates;
    const group = this.#groups.length > 1 ? this.#zones.pick(this.#groups) : this.#groups[0];
    return this.#balancer(group as Group).pick((group as Group).candidates) as C;
  }

  #group(candidates: readonly Candidate[]): Group[] {
    const { policy, zone } = this.#options;
    const trusted = candidates.filter(({ suspect }) => !suspect);
    const usable = trusted.length > 0 ? trusted : candidates;
    const weights = Object.entries(policy.zoneWeights[zone]?.weights ?? {});
    const groups = weights.flatMap(([id, weight]) => {
      const here = usable.filter((candidate) => candidate.zone === id);
      return weight > 0 && here.length > 0 ? [{ id, weight, candidates: here }] : [];
    });
    // Better in a zone that has no share than nowhere.
    return groups.length > 0 ? groups : [{ id: '', weight: 1, candidates: usable }];
  }

  #balancer({ id }: Group): Balancer {
    const known = this.#inZone.get(id);
    if (known !== undefined) return known;
    const balancer = createBalancer(this.#options);
    this.#inZone.set(id, balancer);
    return balancer;
  }
}

function createBalancer({ policy, random }: PolicyBalancerOptions): Balancer {
  switch (policy.algorithm) {
    case discovery.Algorithm.RANDOM:
      return new RandomBalancer(random);
    case discovery.Algorithm.SMOOTH_WEIGHTED:
      return new SmoothWeightedBalancer();
    case discovery.Algorithm.LEAST_IN_FLIGHT:
      return new LeastInFlightBalancer(random);
    default:
      return new RoundRobinBalancer(random);
  }
}
