import type { Author } from '@malabar/access';
import type { config, keeperRecords } from '@malabar/contracts';
import { diffFiles } from '@malabar/typed-config';
import { amend, invalid, open, pack, refsOnlyIn } from './amending.js';
import { change, existing, type Loaded } from './change.js';
import { checkDraft, checkRelease, conflict, releaseText } from './conflicts.js';
import { throwFaults } from './content-rules.js';
import type { Files } from './contents.js';
import { checkOperations } from './limits.js';
import { merge } from './merge.js';
import type { Parts } from './parts.js';
import type { Opened } from './secrets.js';

const CLASHES_SHOWN_MAX = 20;

/** Where an edit begins. */
interface Ground {
  /** The draft as it is, or the release in force. */
  before: Opened;
  /** The same with what was released since; `before` if that is nothing. */
  files: Files;
  baseRelease: number;
}

/**
 * Changes the draft or begins one. A draft may be wrong in itself while it is edited, but not larger
 * than a domain may be. An edit that names the release in force as its base, where the draft was made
 * from an earlier one, first takes over what was released since.
 */
export async function editDraft(
  parts: Parts,
  request: config.EditDraftRequest,
  by: Author,
): Promise<config.EditDraftResponse> {
  checkOperations(request.operations);
  return change(parts, request.domain, by, async (loaded) => {
    const record = existing(loaded);
    checkDraft(record, request.draftRevision);
    const ground = await groundOf(parts, loaded, request);
    const { files, warnings } = await amend(parts, loaded.domain, ground.files, request.operations);
    throwFaults(parts.rules.sizeFaults(files));
    const packed = await pack(parts, loaded, files, ground.before);
    const summary = nextSummary(parts, record, ground.baseRelease, by);
    const draft = { summary, content: packed.manifest };
    return {
      answer: { draft: summary, warnings },
      writes: {
        record: { ...record, draft, draftRevision: summary.revision },
        fresh: packed.fresh,
        loosened: refsOnlyIn(record.draft?.content, [packed.manifest]),
        deed: {
          domain: loaded.domain,
          action: 'edit',
          changes: diffFiles(ground.before.plain, files),
        },
      },
    };
  });
}

/** Throws the draft away. */
export async function discardDraft(
  parts: Parts,
  { domain, draftRevision }: config.DiscardDraftRequest,
  by: Author,
): Promise<void> {
  await change(parts, domain, by, async (loaded) => {
    const record = existing(loaded);
    if (record.draft === undefined && draftRevision === 0) throw invalid('there is no draft');
    checkDraft(record, draftRevision);
    return {
      answer: undefined,
      writes: {
        record: { ...record, draft: undefined },
        loosened: refsOnlyIn(record.draft?.content, []),
        deed: { domain, action: 'discard' },
      },
    };
  });
}

async function groundOf(
  parts: Parts,
  loaded: Loaded,
  { operations, baseRelease }: config.EditDraftRequest,
): Promise<Ground> {
  const { domain } = loaded;
  const { draft, release } = existing(loaded);
  const from = draft?.summary?.baseRelease ?? release;
  if (draft === undefined) await checkRelease(parts, loaded, baseRelease);
  const isBehind = from !== release && baseRelease === release;
  if (operations.length === 0 && !isBehind) throw invalid('no operations: nothing to edit');
  const content = draft?.content ?? (await parts.contents.manifest(domain, release));
  const before = await open(parts, domain, content);
  if (!isBehind) return { before, files: before.plain, baseRelease: from };
  return { before, files: await catchUp(parts, loaded, before, from), baseRelease: release };
}

/** The draft on top of the release in force. Throws CONFLICT where both changed the same. */
async function catchUp(parts: Parts, loaded: Loaded, draft: Opened, from: number): Promise<Files> {
  const { domain } = loaded;
  const { release } = existing(loaded);
  const base = await open(parts, domain, await parts.contents.manifest(domain, from));
  const current = await open(parts, domain, await parts.contents.manifest(domain, release));
  const { files, clashes } = merge(base.plain, draft.plain, current.plain);
  if (clashes.length === 0) return files;
  const first = await releaseText(parts, domain, release);
  const shown = clashes.slice(0, CLASHES_SHOWN_MAX).join(', ');
  throw conflict(`${first}; the draft, made from release ${from}, changes the same: ${shown}`);
}

function nextSummary(
  { clock }: Parts,
  { draft, draftRevision }: keeperRecords.DomainRecord,
  baseRelease: number,
  by: Author,
): config.DraftSummary {
  const others = (draft?.summary?.authors ?? []).filter((name) => name !== by.name);
  return {
    revision: draftRevision + 1,
    baseRelease,
    // Who edited last stands last: conflicts name him.
    authors: [...others, by.name],
    changedAtMs: clock.now(),
  };
}
