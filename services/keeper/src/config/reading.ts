import type { Author } from '@malabar/access';
import { type config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import {
  type AppliedOperations,
  applyOperations,
  diffFiles,
  effective,
  maskFiles,
  pathFault,
  reviewFiles,
} from '@malabar/typed-config';
import { keys } from '../keys.js';
import { invalid, open } from './amending.js';
import { isInCanary } from './canary.js';
import { noSuchDomain } from './change.js';
import { EMPTY } from './contents.js';
import { checkCanary, checkOperations, pageSize } from './limits.js';
import type { Parts } from './parts.js';
import type { Opened } from './secrets.js';
import { isKept, keptRelease } from './settings.js';

type Ref = config.StateRef | undefined;

/** A state of a domain: the release in force, another one, the draft, the canary or nothing. */
interface State {
  manifest: keeperRecords.Manifest;
  /** The number of the release; of a draft, that which it was made from. */
  release: number;
}

/** The files of a state. Secrets leave only where `reveal` asks for them, and that is written down. */
export async function getFiles(
  parts: Parts,
  { domain, state, path, reveal }: config.GetFilesRequest,
  by: Author,
): Promise<config.GetFilesResponse> {
  const { manifest, release } = await find(parts, domain, state);
  const wanted = manifest.files.filter((ref) => path === '' || ref.path === path);
  if (path !== '' && wanted.length === 0) {
    throw new BusError('NOT_FOUND', pathFault(path) ?? `there is no file ${path}`);
  }
  const { sealed, plain } = await open(parts, domain, { files: wanted, keys: 0 });
  if (!reveal) return { files: maskFiles(sealed), release };
  const deed = { domain, action: 'reveal', release, note: path };
  const { puts } = parts.audit.record(by, deed);
  await parts.backend.commit({ puts });
  return { files: [...plain], release };
}

/** What a node gets, secrets masked. */
export async function getEffective(
  parts: Parts,
  { domain, state, nodeId, subscriptions }: config.GetEffectiveRequest,
): Promise<config.EffectiveConfig> {
  const { manifest, release } = await find(parts, domain, state);
  const files = maskFiles(await parts.contents.read(domain, manifest));
  const values = effective(files, { nodeId, subscriptions });
  // The checksum of masked values would tell nothing.
  return { domain, release, checksum: '', files: values };
}

/** What differs between two states. */
export async function diff(
  parts: Parts,
  { domain, from, to }: config.DiffRequest,
): Promise<config.Change[]> {
  const before = await openState(parts, domain, from);
  const after = await openState(parts, domain, to);
  return diffFiles(before.plain, after.plain);
}

/** What publishing would say. */
export async function validate(
  parts: Parts,
  { domain, operations, canary }: config.ValidateRequest,
): Promise<config.ValidateResponse> {
  checkOperations(operations);
  checkCanary(canary);
  const { draft, nextRelease } = recordOf(parts, domain);
  if (operations.length === 0 && draft === undefined) throw invalid('there is no draft');
  const before = await openState(parts, domain, undefined);
  const after = await candidate(parts, domain, before, operations);
  return {
    faults: [...after.faults, ...parts.rules.faults(domain, after.files)],
    warnings: [...after.warnings, ...reviewFiles(after.files)],
    changes: diffFiles(before.plain, after.files),
    reachedNodeIds: await reached(parts, domain, canary, nextRelease),
  };
}

/** Releases that are kept, newest first. */
export async function listReleases(
  parts: Parts,
  { domain, before, limit }: config.ListReleasesRequest,
): Promise<config.Release[]> {
  const record = recordOf(parts, domain);
  const { entries } = await parts.backend.list(keys.releases(domain), {
    limit: pageSize(limit),
    after: before === 0 ? undefined : keys.release(domain, before),
    reverse: true,
  });
  return entries
    .flatMap(({ value }) => keeperRecords.ReleaseRecord.decode(value).release ?? [])
    .filter(({ number }) => isKept(record, number));
}

async function openState(parts: Parts, domain: string, state: Ref): Promise<Opened> {
  return open(parts, domain, (await find(parts, domain, state)).manifest);
}

async function find(parts: Parts, domain: string, ref: Ref): Promise<State> {
  const record = recordOf(parts, domain);
  const { release: inForce, canary, draft } = record;
  const state = ref?.state;
  switch (state?.$case) {
    case 'empty':
      return { manifest: EMPTY, release: 0 };
    case 'draft':
      if (draft === undefined) throw new BusError('NOT_FOUND', 'there is no draft');
      return { manifest: draft.content ?? EMPTY, release: draft.summary?.baseRelease ?? 0 };
    case 'canary':
      if (canary === undefined) throw new BusError('NOT_FOUND', 'no release is on trial');
      return atRelease(parts, domain, canary.release);
    default:
      return atRelease(parts, domain, keptRelease(domain, record, state?.value || inForce));
  }
}

async function atRelease({ contents }: Parts, domain: string, release: number): Promise<State> {
  return { manifest: await contents.manifest(domain, release), release };
}

async function candidate(
  parts: Parts,
  domain: string,
  base: Opened,
  operations: readonly config.Operation[],
): Promise<AppliedOperations> {
  if (operations.length > 0) {
    const applied = applyOperations(base.plain, operations);
    const files = await parts.rules.normalized(domain, applied.files, base.plain);
    return { ...applied, files: [...files] };
  }
  const draft = await openState(parts, domain, { state: { $case: 'draft', value: true } });
  return { files: [...draft.plain], faults: [], warnings: [] };
}

/** The nodes that would get it now. */
async function reached(
  { nodes }: Parts,
  domain: string,
  rule: config.CanaryRule | undefined,
  release: number,
): Promise<string[]> {
  const answer = await nodes({ domain, onlyHere: false });
  return answer.nodes
    .filter((node) => node.connected && (rule === undefined || isInCanary(rule, release, node)))
    .map(({ id }) => id);
}

function recordOf({ view }: Parts, domain: string): keeperRecords.DomainRecord {
  const state = view.domains.get(domain);
  if (state === undefined) throw noSuchDomain(domain);
  return state.record;
}
