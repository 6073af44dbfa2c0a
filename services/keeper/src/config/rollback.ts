import type { Author } from '@malabar/access';
import { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { diffFiles } from '@malabar/typed-config';
import { invalid, open } from './amending.js';
import { change, existing, type Loaded } from './change.js';
import { checkNoCanary, checkRelease } from './conflicts.js';
import { throwFaults } from './content-rules.js';
import { manifestOf } from './contents.js';
import { checkNote } from './limits.js';
import type { Parts } from './parts.js';
import { releaseOf } from './publishing.js';
import { keptRelease } from './settings.js';

/**
 * Makes a new release with the content of an earlier one, byte for byte. Four eyes have seen that one
 * already, so a rollback asks for no others: it must be quick.
 */
export async function rollback(
  parts: Parts,
  request: config.RollbackRequest,
  by: Author,
): Promise<config.RollbackResponse> {
  checkNote(request.note);
  return change(parts, request.domain, by, async (loaded) => {
    await checkRelease(parts, loaded, request.expectedRelease);
    checkNoCanary(existing(loaded));
    const { domain } = loaded;
    const current = await parts.contents.manifest(domain, existing(loaded).release);
    const manifest = await restored(parts, loaded, current, request);
    const before = await open(parts, domain, current);
    const { plain } = await open(parts, domain, manifest);
    throwFaults(parts.rules.faults(domain, plain));
    const changes = diffFiles(before.plain, plain);
    if (changes.length === 0) {
      throw invalid(`nothing differs from release ${request.toRelease}`);
    }
    const candidate = { manifest, fresh: [], editors: [], warnings: [], changes };
    const about = { action: 'rollback', note: request.note, restores: request.toRelease };
    const { release, writes } = releaseOf(parts, loaded, candidate, about, by);
    return { answer: { release }, writes };
  });
}

/** The content to return to: all of an earlier release, or one file of it in the current content. */
async function restored(
  parts: Parts,
  loaded: Loaded,
  current: keeperRecords.Manifest,
  { toRelease, path }: config.RollbackRequest,
): Promise<keeperRecords.Manifest> {
  const number = keptRelease(loaded.domain, existing(loaded), toRelease);
  const { release, content } = await parts.contents.release(loaded.domain, number);
  if (release?.state !== config.ReleaseState.PUBLISHED) {
    throw invalid(`release ${toRelease} was never given to everybody`);
  }
  const earlier = content ?? keeperRecords.Manifest.fromPartial({});
  if (path === '') return earlier;
  const files = earlier.files.filter((ref) => ref.path === path);
  const others = current.files.filter((ref) => ref.path !== path);
  if (files.length === 0 && others.length === current.files.length) {
    throw new BusError('NOT_FOUND', `neither release has a file ${path}`);
  }
  return manifestOf([...others, ...files]);
}
