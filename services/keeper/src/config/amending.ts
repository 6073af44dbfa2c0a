import type { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { applyOperations } from '@malabar/typed-config';
import type { Loaded } from './change.js';
import { throwFaults } from './content-rules.js';
import { EMPTY, type Files, hashOf, type Packed } from './contents.js';
import type { Parts } from './parts.js';
import type { Opened } from './secrets.js';

/** The content of a manifest, sealed and plain. */
export async function open(
  { contents, secrets }: Parts,
  domain: string,
  manifest: keeperRecords.Manifest,
): Promise<Opened> {
  const sealed = await contents.read(domain, manifest);
  return { sealed, plain: await secrets.open(domain, sealed) };
}

/** The content that operations make of another. Throws INVALID with all their faults. */
export async function amend(
  { rules }: Parts,
  domain: string,
  base: Files,
  operations: readonly config.Operation[],
): Promise<{ files: Files; warnings: config.ConfigFault[] }> {
  const { files, faults, warnings } = applyOperations(base, operations);
  throwFaults(faults);
  return { files: await rules.normalized(domain, files, base), warnings };
}

/** Seals a content and makes blobs of it. `base` is kept already, as are the release and the draft. */
export async function pack(
  parts: Parts,
  { domain, record }: Loaded,
  plain: Files,
  base: Opened,
): Promise<Packed> {
  const sealed = await parts.secrets.seal(domain, plain, base);
  const kept = [await parts.contents.manifest(domain, record?.release ?? 0)];
  return parts.contents.pack(domain, sealed, [...kept, record?.draft?.content ?? EMPTY]);
}

/** Blobs of one content that are in none of the others. */
export function refsOnlyIn(
  content: keeperRecords.Manifest | undefined,
  others: readonly (keeperRecords.Manifest | undefined)[],
): keeperRecords.FileRef[] {
  const used = new Set(others.flatMap((other) => other?.files.map(hashOf) ?? []));
  return (content?.files ?? []).filter((ref) => !used.has(hashOf(ref)));
}

export function invalid(message: string): BusError {
  return new BusError('INVALID', message);
}
