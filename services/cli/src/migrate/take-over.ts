import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { ConfigAccess } from '../config/domain.js';
import { refuseFaults } from '../config/faults.js';
import { CommandError, EXIT } from '../exit.js';
import type { GokeeperDomain } from './gokeeper.js';

/** What became of a domain: a release, or undefined if it is here already, as it is there. */
export async function takeOver(
  access: ConfigAccess,
  { name, version, files }: GokeeperDomain,
): Promise<config.Release | undefined> {
  const { service, timeoutMs } = access;
  const operations = files.map(
    (file): config.Operation => ({
      operation: { $case: 'putFile', value: { file } },
    }),
  );
  const release = await releaseHere(access, name);
  if (release === undefined) await create(access, name);
  try {
    const asked = { domain: name, operations, canary: undefined };
    const { faults, changes } = await service.validate(asked, { timeoutMs });
    refuseFaults(faults);
    if (release && changes.length === 0) return undefined;
    if (release) throw notEmpty(name, release);
    const note = `from gokeeper${version > 0 ? `, its version ${version}` : ''}`;
    const publish = { ...asked, expectedRelease: 0, draftRevision: 0, note };
    return (await service.publish(publish, { timeoutMs })).release;
  } catch (error) {
    if (release === undefined)
      await service.deleteDomain({ domain: name, expectedRelease: 0 }, { timeoutMs });
    throw error;
  }
}

/** The release in force; undefined if there is no such domain. */
async function releaseHere(
  { service, timeoutMs }: ConfigAccess,
  domain: string,
): Promise<number | undefined> {
  try {
    return (await service.getDomain({ domain }, { timeoutMs })).domain?.release;
  } catch (error) {
    if (error instanceof BusError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

async function create({ service, timeoutMs }: ConfigAccess, domain: string): Promise<void> {
  const settings = { system: '', description: 'from gokeeper', fourEyes: false, history: 0 };
  await service.putDomain({ domain, settings, settingsRevision: 0 }, { timeoutMs });
}

function notEmpty(name: string, release: number): CommandError {
  return new CommandError(
    EXIT.refused,
    `domain '${name}' is here already at release ${release}, with another content`,
    `nothing was changed in it; \`malabar config delete ${name}\` makes room`,
  );
}
