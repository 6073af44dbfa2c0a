import { type Author, PEOPLE_DOMAIN, type People } from '@malabar/access';
import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { ConfigStore } from '../config/store.js';
import type { PeopleRelease, PeopleView } from './people-view.js';

/** How often a write is thought over again because somebody else wrote meanwhile. */
const ROUNDS_MAX = 5;

/** The files that a write leaves behind; those that it was given where nothing is to do. */
export type Plan = (before: PeopleRelease) => readonly config.ConfigFile[];

/** Writes people: each write is a release of their domain, so it is checked, pushed and audited. */
export class PeopleWriter {
  constructor(
    private readonly store: Pick<ConfigStore, 'publish'>,
    private readonly view: PeopleView,
  ) {}

  /** Everybody after it. Throws INVALID if the domain's rules refuse it. */
  async write(by: Author, note: string, plan: Plan): Promise<People> {
    for (let round = 1; ; round++) {
      const before = await this.view.refresh();
      const operations = changed(before.files, plan(before));
      if (operations.length === 0) return before.people;
      try {
        await this.store.publish(requestOf(before.release, operations, note), by);
        return (await this.view.refresh()).people;
      } catch (error) {
        const late = error instanceof BusError && error.code === 'CONFLICT';
        if (!late || round === ROUNDS_MAX) throw error;
      }
    }
  }
}

function changed(
  before: readonly config.ConfigFile[],
  after: readonly config.ConfigFile[],
): config.Operation[] {
  return after
    .filter((file) => !before.includes(file))
    .map((file) => ({ operation: { $case: 'putFile', value: { file } } }));
}

function requestOf(
  expectedRelease: number,
  operations: config.Operation[],
  note: string,
): config.PublishRequest {
  const domain = PEOPLE_DOMAIN;
  return { domain, expectedRelease, draftRevision: 0, operations, note, canary: undefined };
}
