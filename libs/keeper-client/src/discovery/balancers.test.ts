import { discovery } from '@malabar/contracts';
import type { Balancer, Candidate } from '@malabar/rpc';
import { seededRandom } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { LeastInFlightBalancer } from './balancers/least-in-flight.js';
import { RandomBalancer } from './balancers/random.js';
import { RoundRobinBalancer } from './balancers/round-robin.js';
import { SmoothWeightedBalancer } from './balancers/smooth-weighted.js';
import { PolicyBalancer } from './policy-balancer.js';

const candidate = (id: string, parts: Partial<Candidate> = {}): Candidate => ({
  id,
  address: `${id}:1`,
  weight: 1,
  zone: '',
  suspect: false,
  inFlight: 0,
  ...parts,
});

/** Whom the balancer picks, in order. */
function picks(balancer: Balancer, candidates: readonly Candidate[], count: number): string {
  return Array.from({ length: count }, () => balancer.pick(candidates).id).join('');
}

/** How often it picks each. */
function shares(balancer: Balancer, candidates: readonly Candidate[], count: number) {
  const counts: Record<string, number> = {};
  for (const id of picks(balancer, candidates, count)) counts[id] = (counts[id] ?? 0) + 1;
  return counts;
}

const [a, b, c] = ['a', 'b', 'c'].map((id) => candidate(id)) as [Candidate, Candidate, Candidate];

test('random gives each about the same share, in no order', () => {
  const balancer = new RandomBalancer(seededRandom(1));
  const counts = shares(balancer, [a, b, c], 3_000);
  for (const count of Object.values(counts)) expect(Math.abs(count - 1_000)).toBeLessThan(100);
  expect(picks(balancer, [a, b, c], 12)).not.toMatch(/^(...)\1+$/);
});

test('round robin goes around, from a random begin, whoever comes and goes', () => {
  const balancer = new RoundRobinBalancer(seededRandom(1));
  expect(shares(balancer, [a, b, c], 30)).toEqual({ a: 10, b: 10, c: 10 });
  expect(picks(balancer, [a, b, c], 6)).toMatch(/^(abcabc|bcabca|cabcab)$/);
  expect(shares(balancer, [a, c], 10)).toEqual({ a: 5, c: 5 });
  const begins = new Set(
    [1, 2, 3, 4, 5, 6].map((seed) =>
      picks(new RoundRobinBalancer(seededRandom(seed)), [a, b, c], 1),
    ),
  );
  expect(begins.size).toBe(3);
});

describe('smooth weighted', () => {
  const weighted = [
    candidate('a', { weight: 5 }),
    candidate('b', { weight: 1 }),
    candidate('c', { weight: 1 }),
  ];

  test('spreads the turns of the heavy one', () => {
    expect(picks(new SmoothWeightedBalancer(), weighted, 14)).toBe('aabacaaaabacaa');
  });

  test('keeps exact shares for any weights', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 50; round++) {
      const some = [...'abcdefgh']
        .slice(0, 1 + Math.floor(random() * 8))
        .map((id) => candidate(id, { weight: 1 + Math.floor(random() * 20) }));
      const total = some.reduce((sum, { weight }) => sum + weight, 0);
      expect(shares(new SmoothWeightedBalancer(), some, total * 3)).toEqual(
        Object.fromEntries(some.map(({ id, weight }) => [id, weight * 3])),
      );
    }
  });

  test('takes a new weight over at once, and forgets who is gone', () => {
    const balancer = new SmoothWeightedBalancer();
    picks(balancer, weighted, 7);
    const turned = [candidate('a', { weight: 1 }), candidate('b', { weight: 5 })];
    expect(shares(balancer, turned, 60)).toEqual({ a: 10, b: 50 });
    for (let at = 0; at < 1_000; at++) balancer.pick([candidate(`x${at}`)]);
    expect(picks(balancer, [a], 1)).toBe('a');
  });
});

describe('least in flight', () => {
  test('takes the one with the fewest calls, for its weight', () => {
    const balancer = new LeastInFlightBalancer(seededRandom(1));
    const busy = [candidate('a', { inFlight: 3 }), candidate('b', { inFlight: 2 })];
    expect(picks(balancer, busy, 4)).toBe('bbbb');
    const heavy = [candidate('a', { inFlight: 3, weight: 10 }), candidate('b', { inFlight: 2 })];
    expect(picks(balancer, heavy, 4)).toBe('aaaa');
  });

  test('lets those take turns that are alike', () => {
    const balancer = new LeastInFlightBalancer(seededRandom(2));
    expect(shares(balancer, [a, b, c], 30)).toEqual({ a: 10, b: 10, c: 10 });
  });
});

describe('a policy', () => {
  const zoned = [
    candidate('a', { zone: 'east' }),
    candidate('b', { zone: 'east' }),
    candidate('c', { zone: 'west' }),
    candidate('d', { zone: 'north' }),
  ];
  const zoneWeights = {
    east: { weights: { east: 8, west: 2 } },
    west: { weights: { south: 1 } },
    north: { weights: { west: 0, north: 1 } },
  };
  const balancerOf = (zone: string, algorithm = discovery.Algorithm.ROUND_ROBIN) =>
    new PolicyBalancer({
      policy: discovery.Policy.fromPartial({ algorithm, zoneWeights }),
      zone,
      random: seededRandom(5),
    });

  test('shares the calls of a zone among zones, then chooses within', () => {
    expect(shares(balancerOf('east'), zoned, 100)).toEqual({ a: 40, b: 40, c: 20 });
    expect(shares(balancerOf('north'), zoned, 10)).toEqual({ d: 10 });
  });

  test('takes all zones alike for a zone without weights, or when none that has a share is there', () => {
    const alike = { a: 10, b: 10, c: 10, d: 10 };
    expect(shares(balancerOf('elsewhere'), zoned, 40)).toEqual(alike);
    expect(shares(balancerOf('west'), zoned, 40)).toEqual(alike);
    expect(shares(balancerOf('east'), zoned.slice(2), 10)).toEqual({ c: 10 });
  });

  test('gives suspects calls only when nobody else is left', () => {
    const suspect = { ...b, suspect: true };
    expect(shares(balancerOf(''), [a, suspect], 10)).toEqual({ a: 10 });
    expect(shares(balancerOf(''), [suspect, { ...c, suspect: true }], 10)).toEqual({ b: 5, c: 5 });
  });

  test.each([
    [discovery.Algorithm.UNSPECIFIED, { a: 4, b: 4, c: 4 }],
    [discovery.Algorithm.ROUND_ROBIN, { a: 4, b: 4, c: 4 }],
    [discovery.Algorithm.SMOOTH_WEIGHTED, { a: 8, b: 2, c: 2 }],
    [discovery.Algorithm.LEAST_IN_FLIGHT, { a: 12 }],
  ])('says by which algorithm: %s', (algorithm, expected) => {
    const some = [{ ...a, weight: 4 }, b, c];
    expect(shares(balancerOf('', algorithm), some, 12)).toEqual(expected);
  });

  test('may be random', () => {
    const counts = shares(balancerOf('', discovery.Algorithm.RANDOM), [a, b], 1_000);
    expect(Math.abs((counts.a ?? 0) - 500)).toBeLessThan(80);
  });
});
