import { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Backend, Put } from '../backend.js';
import { keys } from '../keys.js';
import { type Blob, blobKeys, blobPuts, fromParts, toBlob } from './blobs.js';
import { FileCache } from './file-cache.js';

const CACHE_BYTES_MAX = 64 * 1024 * 1024;
const MANIFESTS_MAX = 100;
const READS_AT_ONCE = 32;

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
  /** Of files that were read or packed here, so that they need not be hashed again. */
  readonly #refs = new WeakMap<config.ConfigFile, keeperRecords.FileRef>();
  /** By key, those used last behind. */
  readonly #manifests = new Map<string, keeperRecords.Manifest>();

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

  /** The manifest of a release, which never changes; empty for 0, the state before the first. */
  async manifest(domain: string, number: number): Promise<keeperRecords.Manifest> {
    if (number === 0) return EMPTY;
    const key = keys.release(domain, number);
    const manifest =
      this.#manifests.get(key) ?? (await this.release(domain, number)).content ?? EMPTY;
    this.#manifests.delete(key);
    this.#manifests.set(key, manifest);
    for (const oldest of this.#manifests.keys()) {
      if (this.#manifests.size <= MANIFESTS_MAX) break;
      this.#manifests.delete(oldest);
    }
    return manifest;
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

  /** Makes blobs of files. Those of `kept` manifests need not be written again. */
  pack(domain: string, files: Files, kept: readonly keeperRecords.Manifest[]): Packed {
    const known = new Set(kept.flatMap((manifest) => manifest.files.map(hashOf)));
    const fresh: Blob[] = [];
    const refs = files.map((file) => {
      const read = this.#refs.get(file);
      if (read !== undefined && known.has(hashOf(read))) return read;
      const blob = toBlob(file);
      this.#remember(domain, blob, file);
      if (!known.has(hashOf(blob.ref))) fresh.push(blob);
      return blob.ref;
    });
    return { manifest: manifestOf(refs), fresh };
  }

  #remember(domain: string, { ref, bytes }: Blob, file: config.ConfigFile): void {
    this.#cache.set(cacheId(domain, ref), file, bytes.length);
    this.#refs.set(file, ref);
  }

  async #file(domain: string, ref: keeperRecords.FileRef): Promise<config.ConfigFile> {
    const id = cacheId(domain, ref);
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const blob = fromParts(ref, await this.#parts(domain, ref));
    const file = config.ConfigFile.decode(blob.bytes);
    this.#remember(domain, blob, file);
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
