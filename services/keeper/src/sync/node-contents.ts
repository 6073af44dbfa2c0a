import type { config, sync } from '@malabar/contracts';
import { checksumOf, effective } from '@malabar/typed-config';
import type { ReleaseSource } from './release-source.js';
import { encodeShared } from './wire.js';

/** The largest notice, in bytes, that brings its content along instead of waiting to be asked. */
const INLINE_BYTES_MAX = 64 * 1024;

/** What decides on the content that a node gets of a release. */
export interface Wish {
  nodeId: string;
  subscriptions: readonly config.Subscription[];
  withoutSecrets: boolean;
  /** The same for all nodes that ask for the same. */
  fingerprint: string;
}

/** What some nodes get of a release. The messages are shared by all of them. */
export interface Content {
  readonly release: number;
  readonly checksum: string;
  /** With the content. */
  readonly full: sync.SyncResponse;
  /** Without it. */
  readonly bare: sync.SyncResponse;
  /** Whether `full` is small enough to be sent unasked. */
  readonly inline: boolean;
}

interface OpenRelease {
  files: readonly config.ConfigFile[];
  /** Names of all sections: a node of that name gets a content of its own. */
  sections: ReadonlySet<string>;
  contents: Map<string, Content>;
}

export function wishOf(
  nodeId: string,
  { subscriptions, withoutSecrets }: sync.DomainSubscription,
): Wish {
  const fingerprint = JSON.stringify([withoutSecrets, subscriptions]);
  return { nodeId, subscriptions, withoutSecrets, fingerprint };
}

/**
 * The contents of the releases that nodes are offered. Each is worked out and encoded once and
 * shared by all nodes that ask for the same, except those that the release has a section for.
 */
export class NodeContents {
  readonly #source: ReleaseSource;
  readonly #open = new Map<string, Map<number, Promise<OpenRelease>>>();

  constructor(source: ReleaseSource) {
    this.#source = source;
  }

  /** Throws what the release store throws, e.g. CORRUPT if a secret cannot be opened. */
  async get(domain: string, release: number, wish: Wish): Promise<Content> {
    const { files, sections, contents } = await this.#release(domain, release);
    const { nodeId, fingerprint } = wish;
    const key = sections.has(nodeId) ? `${fingerprint}\n${nodeId}` : fingerprint;
    const known = contents.get(key);
    if (known !== undefined) return known;
    const content = makeContent(domain, release, effectiveFor(files, wish));
    contents.set(key, content);
    return content;
  }

  /** Reads what nodes are offered now, so that nobody waits for it later. Never throws. */
  async warm(domain: string): Promise<void> {
    const reading = this.#offered(domain).map((release) => this.#release(domain, release));
    await Promise.allSettled(reading);
  }

  /** Forgets what nobody is offered any more. */
  prune(domain: string): void {
    const used = this.#offered(domain);
    const releases = this.#open.get(domain);
    for (const release of releases?.keys() ?? []) {
      if (!used.includes(release)) releases?.delete(release);
    }
    if (releases?.size === 0) this.#open.delete(domain);
  }

  #offered(domain: string): number[] {
    const { release = 0, canary } = this.#source.domains.get(domain)?.record ?? {};
    return [release, canary?.release ?? 0].filter((number) => number > 0);
  }

  #release(domain: string, release: number): Promise<OpenRelease> {
    const releases = this.#open.get(domain) ?? new Map<number, Promise<OpenRelease>>();
    this.#open.set(domain, releases);
    const known = releases.get(release);
    if (known !== undefined) return known;
    const opening = this.#read(domain, release);
    releases.set(release, opening);
    // What failed is tried again by whoever asks next.
    opening.catch(() => releases.get(release) === opening && releases.delete(release));
    return opening;
  }

  async #read(domain: string, release: number): Promise<OpenRelease> {
    const sealed = await this.#source.content(domain, release);
    const files = await this.#source.unseal(domain, sealed);
    const names = files.flatMap((file) => file.sections.map(({ name }) => name));
    return { files, sections: new Set(names), contents: new Map() };
  }
}

function effectiveFor(files: readonly config.ConfigFile[], wish: Wish): config.EffectiveFile[] {
  const all = effective(files, wish);
  if (!wish.withoutSecrets) return all;
  return all.map((file) => ({
    ...file,
    values: file.values.filter(({ type }) => type !== 'secret'),
  }));
}

function makeContent(domain: string, release: number, files: config.EffectiveFile[]): Content {
  const checksum = checksumOf(files);
  const notice = (content?: config.EffectiveConfig): sync.SyncResponse => ({
    message: { $case: 'notice', value: { domain, release, checksum, config: content } },
  });
  const full = notice({ domain, release, checksum, files });
  const bare = notice();
  encodeShared(bare);
  return { release, checksum, full, bare, inline: encodeShared(full).length <= INLINE_BYTES_MAX };
}
