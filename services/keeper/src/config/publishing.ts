import type { Author } from '@malabar/access';
import { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { diffFiles, reviewFiles } from '@malabar/typed-config';
import { keys } from '../keys.js';
import { amend, invalid, open, pack } from './amending.js';
import type { Blob } from './blobs.js';
import { change, existing, type Loaded, type Writes } from './change.js';
import { checkDraft, checkNoCanary, checkRelease, conflict, releaseText } from './conflicts.js';
import { throwFaults } from './content-rules.js';
import { checkCanary, checkNote, checkOperations } from './limits.js';
import type { Parts } from './parts.js';
import { settingsOf } from './settings.js';

/** What is to become a release. */
export interface Candidate {
  manifest: keeperRecords.Manifest;
  fresh: Blob[];
  /** Who edited it as a draft. */
  editors: string[];
  warnings: config.ConfigFault[];
  /** Against the release in force, secrets masked. */
  changes: config.Change[];
}

/** What is said about a release, beside its content. */
interface About {
  action: string;
  note: string;
  restores?: number;
  canary?: config.CanaryRule;
}

/** Makes a release of the draft, or of operations on the release in force. */
export async function publish(
  parts: Parts,
  request: config.PublishRequest,
  by: Author,
): Promise<config.PublishResponse> {
  const { domain, operations, note, canary } = request;
  checkOperations(operations);
  checkNote(note);
  checkCanary(canary);
  return change(parts, domain, by, async (loaded) => {
    const record = existing(loaded);
    await checkRelease(parts, loaded, request.expectedRelease);
    const isDraft = operations.length === 0;
    if (isDraft) checkDraft(record, request.draftRevision);
    checkNoCanary(record);
    checkFourEyes(record, isDraft, by);
    const candidate = isDraft
      ? await fromDraft(parts, loaded)
      : await fromOperations(parts, loaded, operations);
    const { warnings } = candidate;
    // The first one may be empty: it says that there is nothing, rather than nothing.
    if (candidate.changes.length === 0 && (record.release > 0 || isDraft)) {
      return { answer: await unchanged(parts, loaded, isDraft, canary) };
    }
    const about = { action: canary === undefined ? 'publish' : 'canary', note, canary };
    const { release, writes } = releaseOf(parts, loaded, candidate, about, by);
    return { answer: { release, warnings }, writes: isDraft ? withoutDraft(writes) : writes };
  });
}

/** The next release of a domain, and what makes it one: in force, or on trial if it has a canary. */
export function releaseOf(
  parts: Parts,
  { domain, record: before }: Loaded,
  { manifest, fresh, editors, changes }: Candidate,
  { action, note, restores = 0, canary }: About,
  by: Author,
): { release: config.Release; writes: Writes } {
  const record = before as keeperRecords.DomainRecord;
  const number = record.nextRelease;
  const atMs = parts.clock.now();
  const { PUBLISHED, CANARY } = config.ReleaseState;
  const release: config.Release = {
    domain,
    number,
    author: by.name,
    atMs,
    note,
    editors,
    base: record.release,
    restores,
    state: canary === undefined ? PUBLISHED : CANARY,
    canary,
    files: manifest.files.length,
    keys: manifest.keys,
  };
  const value = keeperRecords.ReleaseRecord.encode({ release, content: manifest }).finish();
  const history = settingsOf(record).history || parts.history;
  const next: keeperRecords.DomainRecord = {
    ...record,
    release: canary === undefined ? number : record.release,
    canary: canary && { release: number, rule: canary, sinceMs: atMs },
    nextRelease: number + 1,
    oldestRelease: Math.max(record.oldestRelease, number - history + 1),
  };
  const writes = {
    record: next,
    puts: [{ key: keys.release(domain, number), value }],
    fresh,
    deed: { domain, action, release: number, note, changes },
  };
  return { release, writes };
}

/** Throws INVALID with everything that is wrong with the content. */
async function fromOperations(
  parts: Parts,
  loaded: Loaded,
  operations: readonly config.Operation[],
): Promise<Candidate> {
  const { domain } = loaded;
  const manifest = await parts.contents.manifest(domain, existing(loaded).release);
  const base = await open(parts, domain, manifest);
  const { files, warnings } = await amend(parts, domain, base.plain, operations);
  throwFaults(parts.rules.faults(domain, files));
  const packed = await pack(parts, loaded, files, base);
  const doubts = reviewFiles(files);
  return {
    ...packed,
    editors: [],
    warnings: [...warnings, ...doubts],
    changes: diffFiles(base.plain, files),
  };
}

/** Throws CONFLICT if there was a release since the draft was begun. */
async function fromDraft(parts: Parts, loaded: Loaded): Promise<Candidate> {
  const { domain } = loaded;
  const { draft, release } = existing(loaded);
  if (draft?.summary === undefined || draft.content === undefined) {
    throw invalid('there is no draft to publish');
  }
  const { baseRelease, authors } = draft.summary;
  if (baseRelease !== release) {
    const first = await releaseText(parts, domain, release);
    throw conflict(
      `${first}; the draft was made from release ${baseRelease}: edit it with base release ${release} to take that over, or discard it`,
    );
  }
  const base = await open(parts, domain, await parts.contents.manifest(domain, release));
  const { plain } = await open(parts, domain, draft.content);
  throwFaults(parts.rules.faults(domain, plain));
  const changes = diffFiles(base.plain, plain);
  return {
    manifest: draft.content,
    fresh: [],
    editors: authors,
    warnings: reviewFiles(plain),
    changes,
  };
}

/** Publishing what is in force already is no fault, but no release either. */
async function unchanged(
  parts: Parts,
  loaded: Loaded,
  isDraft: boolean,
  canary: config.CanaryRule | undefined,
): Promise<config.PublishResponse> {
  const number = existing(loaded).release;
  const message = `nothing differs from release ${number}`;
  if (isDraft || canary !== undefined || number === 0) throw invalid(message);
  const { release } = await parts.contents.release(loaded.domain, number);
  const warning = { file: '', section: '', key: '', line: 0, message };
  return { release, warnings: [warning] };
}

function checkFourEyes(record: keeperRecords.DomainRecord, isDraft: boolean, by: Author): void {
  if (!settingsOf(record).fourEyes) return;
  if (!isDraft) {
    throw new BusError(
      'FORBIDDEN',
      'this domain asks for four eyes: edit a draft and let somebody else publish it',
    );
  }
  checkOtherEyes(record.draft?.summary?.authors ?? [], by);
}

/** Throws FORBIDDEN for somebody who has edited what others must look at. */
export function checkOtherEyes(editors: readonly string[], by: Author): void {
  if (!editors.includes(by.name)) return;
  throw new BusError(
    'FORBIDDEN',
    `this domain asks for four eyes: ${by.name} has edited this, somebody else must publish it`,
  );
}

/** The draft is the release now. */
function withoutDraft(writes: Writes): Writes {
  return { ...writes, record: writes.record && { ...writes.record, draft: undefined } };
}
