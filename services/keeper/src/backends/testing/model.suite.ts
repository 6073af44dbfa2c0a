import { eventually, seededRandom } from '@malabar/testkit';
import { expect } from 'vitest';
import type { Transaction } from '../../backend.js';
import { type BackendUnderTest, fresh, put, shown, testWith, Watched } from './harness.js';

const STEPS = 150;
const KEYS = 12;

/** What a backend is, in ten lines. */
class Model {
  readonly entries = new Map<string, { value: string; revision: number }>();

  holds({ conditions = [] }: Transaction): boolean {
    return conditions.every(
      ({ key, revision }) => (this.entries.get(key)?.revision ?? 0) === revision,
    );
  }

  apply({ puts = [], deletes = [] }: Transaction, revision: number): void {
    for (const { key, value } of puts) this.entries.set(key, { value: `${value}`, revision });
    for (const key of deletes) this.entries.delete(key);
  }

  shown(): string[] {
    return [...this.entries].map(([key, { value }]) => `${key}=${value}`).sort();
  }
}

export function model(backend: BackendUnderTest): void {
  const seed = Math.floor(Math.random() * 1e9);

  testWith(backend)(`does what a map would do, at random (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const store = await fresh(backend);
    const watched = Watched.on(store);
    await watched.hears('reset');
    const expected = new Model();
    for (let step = 0; step < STEPS; step++) {
      const transaction = someTransaction(random, expected);
      const revision = await store.commit(transaction);
      expect(revision !== undefined, `step ${step}`).toBe(expected.holds(transaction));
      if (revision !== undefined) expected.apply(transaction, revision);
      if (step % 10 === 0) expect(shown(await store.list(''))).toEqual(expected.shown());
    }
    expect(shown(await store.list(''))).toEqual(expected.shown());
    const state = () => [...watched.state].map(([key, value]) => `${key}=${value}`).sort();
    await eventually(() => expect(state()).toEqual(expected.shown()));
  });
}

function someTransaction(random: () => number, { entries }: Model): Transaction {
  const pick = () => `k${Math.floor(random() * KEYS) + 10}`;
  const some = (chance: number) =>
    [...new Set(Array.from({ length: 4 }, pick))].filter(() => random() < chance);
  const written = some(0.6);
  const puts = written
    .filter(() => random() < 0.7)
    .map((key) => put(key, `${Math.floor(random() * 1000)}`));
  const deletes = written.filter((key) => !puts.some((each) => each.key === key));
  const conditions = some(0.4).map((key) => {
    const revision = entries.get(key)?.revision ?? 0;
    return { key, revision: random() < 0.8 ? revision : revision + 1 };
  });
  return { conditions, puts, deletes };
}
