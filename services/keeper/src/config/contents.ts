import { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Backend, Put } from '../backend.js';
import { keys } from '../keys.js';
import { type Blob, blobKeys, blobPuts, fromParts, toBlob } from './blobs.js';
import { FileCache } from './file-cache.js';

const CACHE_BYTES_MAX = 64 * 1024 * 1024;
const READS_AT_ONCE = 16;

/** What a domain has in it, by path. Shared by caches: never change one. */
export type Files = readonly config.ConfigFile[];

/** A content that is ready to be kept. */
export interface Packed {
  manifest: keeperRecords.Manifest;
  /** Those that are not in a manifest that is kept already. */
  fresh: Blob[];
}

export const EMPTY: keeperRecords.Manifest = { files: [], keys: 0 };

/** The files of releases and drafts, kept as blobs by the hash of their content. */
export class Contents {
  readonly #backend: Backend;
  readonly #cache = new FileCache(CACHE_BYTES_MAX);

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  /** A release with its manifest. Throws NOT_FOUND if it never was or is not kept any more. */
  async release(domain: string, number: number): Promise<Required<keeperRecords.ReleaseRecord>> {
    const entry = await this.#backend.get(keys.release(domain, number));
    if (entry === undefined) {
      throw new BusError('NOT_FOUND', `domain ${domain} keeps no release ${number}`);
    }
    return keeperRecords.ReleaseRecord.decode(entry.value);
  }

  /** The manifest of a release; empty for 0, the state before the first. */
  async manifest(domain: string, number: number): Promise<keeperRecords.Manifest> {
    if (number === 0) return EMPTY;
    return (await this.release(domain, number)).content ?? EMPTY;
  }

  /** The files of a manifest, by path. */
  async read(domain: string, { files }: keeperRecords.Manifest): Promise<Files> {
    const found: config.ConfigFile[] = new Array(files.length);
    const next = files.entries();
    const reader = async (): Promise<void> => {
      for (const [at, ref] of next) found[at] = await this.#file(domain, ref);
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
    return found;
  }

  /** Makes blobs of files. Those of `kept` manifests are not written again. */
  pack(domain: string, files: Files, kept: readonly keeperRecords.Manifest[]): Packed {
    const known = new Set(kept.flatMap((manifest) => manifest.files.map(hashOf)));
    const blobs = files.map(toBlob);
    for (const [at, { ref, bytes }] of blobs.entries()) {
      this.#cache.set(cacheId(domain, ref), files[at] as config.ConfigFile, bytes.length);
    }
    return {
      manifest: manifestOf(blobs.map(({ ref }) => ref)),
      fresh: blobs.filter(({ ref }) => !known.has(hashOf(ref))),
    };
  }

  async #file(domain: string, ref: keeperRecords.FileRef): Promise<config.ConfigFile> {
    const id = cacheId(domain, ref);
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const { bytes } = fromParts(ref, await this.#parts(domain, ref));
    const file = config.ConfigFile.decode(bytes);
    this.#cache.set(id, file, bytes.length);
    return file;
  }

  async #parts(domain: string, ref: keeperRecords.FileRef): Promise<Uint8Array[]> {
    const entries = await Promise.all(blobKeys(domain, ref).map((key) => this.#backend.get(key)));
    return entries.map((entry) => {
      if (entry !== undefined) return entry.value;
      throw new BusError('NOT_FOUND', `the content of ${ref.path} of domain ${domain} is gone`);
    });
  }
}

export function manifestOf(refs: readonly keeperRecords.FileRef[]): keeperRecords.Manifest {
  const files = [...refs].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, keys: files.reduce((sum, ref) => sum + ref.keys, 0) };
}

export function hashOf({ blob }: keeperRecords.FileRef): string {
  return Buffer.from(blob).toString('hex');
}

/** All puts of blobs. */
export function putsOf(domain: string, blobs: readonly Blob[]): Put[] {
  return blobs.flatMap((blob) => blobPuts(domain, blob));
}

function cacheId(domain: string, ref: keeperRecords.FileRef): string {
  return `${domain}/${hashOf(ref)}`;
}
