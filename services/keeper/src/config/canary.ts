import { createHash } from 'node:crypto';
import type { Author } from '@malabar/access';
import { config, keeperRecords } from '@malabar/contracts';
import { keys } from '../keys.js';
import { change, existing, type Loaded, type Writes } from './change.js';
import { conflict } from './conflicts.js';
import { checkNote } from './limits.js';
import type { Parts } from './parts.js';
import { checkOtherEyes } from './publishing.js';
import { settingsOf } from './settings.js';

const HASH_BYTES = 6;
const NAMED_MAX = 10;

/** What a canary's rule looks at. */
export interface Candidate {
  id: string;
  tags: Readonly<Record<string, string>>;
}

/** The release that a node should run. */
export function offered({ release, canary }: keeperRecords.DomainRecord, node: Candidate): number {
  const isTrying = canary !== undefined && isInCanary(canary.rule, canary.release, node);
  return isTrying ? canary.release : release;
}

/** Whether a rule names a node: by its id, by all its tags, or by its place among all nodes. */
export function isInCanary(
  rule: config.CanaryRule | undefined,
  release: number,
  { id, tags }: Candidate,
): boolean {
  if (rule === undefined) return false;
  const wanted = Object.entries(rule.tags);
  const isTagged = wanted.length > 0 && wanted.every(([tag, value]) => tags[tag] === value);
  return rule.nodeIds.includes(id) || isTagged || placeOf(id, release) < rule.percent;
}

/** 0 to 100, the same at every keeper; another one for every release, so that others try each time. */
function placeOf(nodeId: string, release: number): number {
  const hash = createHash('sha256').update(`${release}\n${nodeId}`).digest();
  return (hash.readUIntBE(0, HASH_BYTES) / 2 ** (8 * HASH_BYTES)) * 100;
}

/**
 * Gives the canary's release to everybody. Unless forced, only if every node of the canary says that
 * it runs it, at least one does, and every keeper could be asked.
 */
export async function promote(
  parts: Parts,
  { domain, release: number, force }: config.PromoteRequest,
  by: Author,
): Promise<config.PromoteResponse> {
  return change(parts, domain, by, async (loaded) => {
    const record = existing(loaded);
    const trial = await onTrial(parts, loaded, number);
    if (settingsOf(record).fourEyes) checkOtherEyes(trial.release?.editors ?? [], by);
    if (!force) await checkNodes(parts, domain, number);
    const { release, put } = withState(trial, config.ReleaseState.PUBLISHED);
    const note = force ? 'forced' : '';
    return {
      answer: { release },
      writes: {
        record: { ...record, release: number, canary: undefined },
        puts: [put],
        deed: { domain, action: 'promote', release: number, note },
      },
    };
  });
}

/** Takes the canary's release back. What was a draft is one again, unless there is another by now. */
export async function abort(
  parts: Parts,
  { domain, release: number, note }: config.AbortRequest,
  by: Author,
): Promise<config.AbortResponse> {
  checkNote(note);
  return change(parts, domain, by, async (loaded) => {
    const record = existing(loaded);
    const trial = await onTrial(parts, loaded, number);
    const { release, put } = withState(trial, config.ReleaseState.ABORTED);
    const writes: Writes = {
      record: { ...record, ...draftAgain(parts, record, trial), canary: undefined },
      puts: [put],
      deed: { domain, action: 'abort', release: number, note },
    };
    return { answer: { release }, writes };
  });
}

async function onTrial(
  parts: Parts,
  loaded: Loaded,
  number: number,
): Promise<keeperRecords.ReleaseRecord> {
  const { canary, release } = existing(loaded);
  if (canary?.release === number) return parts.contents.release(loaded.domain, number);
  const instead =
    canary === undefined ? `release ${release} is in force` : `release ${canary.release} is`;
  throw conflict(`release ${number} is not on trial: ${instead}`);
}

function withState(
  { release: before, content }: keeperRecords.ReleaseRecord,
  state: config.ReleaseState,
) {
  const release: config.Release = { ...config.Release.fromPartial(before ?? {}), state };
  const value = keeperRecords.ReleaseRecord.encode({ release, content }).finish();
  return { release, put: { key: keys.release(release.domain, release.number), value } };
}

function draftAgain(
  { clock }: Parts,
  record: keeperRecords.DomainRecord,
  { release, content }: keeperRecords.ReleaseRecord,
): Partial<keeperRecords.DomainRecord> {
  const authors = release?.editors ?? [];
  if (record.draft !== undefined || authors.length === 0) return {};
  const revision = record.draftRevision + 1;
  const baseRelease = record.release;
  const summary = { revision, baseRelease, authors, changedAtMs: clock.now() };
  return { draft: { summary, content }, draftRevision: revision };
}

async function checkNodes({ nodes }: Parts, domain: string, release: number): Promise<void> {
  const answer = await nodes({ domain, onlyHere: false });
  const trying = answer.nodes.filter((node) => node.connected && node.offered === release);
  const refusing = trying.filter(({ refusal }) => refusal !== '');
  const undecided = trying.filter((node) => node.release !== release);
  const reason =
    listed(
      'refused by',
      refusing.map(({ id, refusal }) => `${id} (${refusal})`),
    ) ??
    listed('keepers do not answer:', answer.silentKeepers) ??
    listed(
      'not applied yet by',
      undecided.map(({ id }) => id),
    ) ??
    (trying.length === 0 ? 'no node tries it' : undefined);
  if (reason === undefined) return;
  throw conflict(`release ${release} cannot be promoted without force: ${reason}`);
}

function listed(what: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const shown = names.slice(0, NAMED_MAX).join(', ');
  const more = names.length - NAMED_MAX;
  return `${what} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}
