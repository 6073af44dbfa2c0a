import type { config } from '@malabar/contracts';
import type { DomainState } from '../config/view.js';

/** What pushing needs of the release store. */
export interface ReleaseSource {
  /** As the backend's watch tells of them. */
  readonly domains: ReadonlyMap<string, DomainState>;
  /** Tells of every domain whose releases in force, canary or settings changed. */
  onChange(listener: (domain: string) => void): () => void;
  /** The files of a release, secrets sealed. */
  content(domain: string, release: number): Promise<readonly config.ConfigFile[]>;
  /** The same files with their secrets as they are. */
  unseal(
    domain: string,
    files: readonly config.ConfigFile[],
  ): Promise<readonly config.ConfigFile[]>;
  /** The release that a node should run: the one in force or the canary's; 0 for none. */
  offeredRelease(domain: string, node: { id: string; tags: Record<string, string> }): number;
}
