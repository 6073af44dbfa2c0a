import type { Author } from '@malabar/access';
import {
  createPasswordHashes,
  type Environment,
  type LoadedConfig,
  type PasswordHashes,
} from '@malabar/config';
import type { config } from '@malabar/contracts';
import { type Clock, sleep, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { FileSource } from './file-source.js';
import { changesBetween, covers, type Files, hashIn, sameSections } from './sections.js';

/** Who the audit says it was. */
const FILE = 'file';
const ROUNDS_MAX = 5;
const ROUND_MS = 50;
const PAGE = 1_000;
/** Earlier states of the file that a stale copy of it is looked for among. */
const EARLIER_MAX = 20;

/** The part of the release store that a file needs. */
export interface Releases {
  readonly domains: ReadonlyMap<string, { readonly record: { readonly release: number } }>;
  content(domain: string, release: number): Promise<Files>;
  unseal(domain: string, files: Files): Promise<Files>;
  listReleases(request: config.ListReleasesRequest): Promise<config.Release[]>;
  publish(request: config.PublishRequest, by: Author): Promise<config.PublishResponse>;
}

export interface FilePublisherOptions {
  source: FileSource;
  /** Path of the configuration file, for the audit and for logs. */
  path: string;
  /** Other keepers may have newer copies of the file. */
  shared: boolean;
  env: Environment;
  releases: Releases;
  clock: Clock;
  log: Logger;
}

/**
 * Publishes what a configuration file says of one domain. The file wins when it is saved; as long as
 * it says what it said before, others may go on from there and nobody takes their work back.
 */
export class FilePublisher {
  readonly #domain: string;
  readonly #options: FilePublisherOptions;
  readonly #hashes: PasswordHashes;
  /** Where a password that did not change finds its hash. */
  #earlier: Files = [];
  /** What the file said last; undefined before that. */
  #said: Files | undefined;
  /** Releases that a file had published before this keeper started, the newest first. */
  #earlierReleases: readonly config.Release[] = [];

  constructor(options: FilePublisherOptions) {
    this.#options = options;
    this.#domain = options.source.domain;
    this.#hashes = createPasswordHashes((section, key) => hashIn(this.#earlier, section, key));
  }

  /** Finds what was published of the file before this keeper started. First of all. */
  async remember(): Promise<void> {
    this.#earlierReleases = await this.#releasesOfFile();
    const [last] = this.#earlierReleases;
    if (last !== undefined) this.#said = this.#own(await this.#content(last.number));
  }

  /** Throws a ConfigError with what is wrong with the file. */
  async check(loaded: LoadedConfig): Promise<void> {
    await this.#compile(loaded, this.#said ?? []);
  }

  /** The file at the start of a keeper: what was published of it before is no news. */
  async begin(loaded: LoadedConfig): Promise<void> {
    if (await this.#isSaid(loaded)) {
      // What else is in that release was somebody else's.
      this.#said = await this.#compile(loaded, this.#said ?? []);
      return this.#tellWhoWentOn(loaded);
    }
    const [last, ...older] = this.#earlierReleases;
    const stale = this.#options.shared && (await this.#find(loaded, older));
    if (!stale) return this.publish(loaded);
    const { log, path } = this.#options;
    log.warn(
      { file: path, release: stale.number, newer: last?.number },
      'the file is older than what another keeper has published of it; save it again to mean it',
    );
  }

  /** The file as it was saved: a release, unless it says what it said before or what is in force. */
  async publish(loaded: LoadedConfig): Promise<void> {
    await this.#tellWhatIsLeftOut(loaded);
    if (await this.#isSaid(loaded)) return;
    for (let round = 1; ; round++) {
      try {
        this.#said = await this.#publishOnce(loaded);
        return;
      } catch (error) {
        // Somebody else was first: what he did is in force in a moment.
        if (toBusError(error).code !== 'CONFLICT' || round === ROUNDS_MAX) throw error;
        await sleep(this.#options.clock, ROUND_MS * round);
      }
    }
  }

  async #publishOnce(loaded: LoadedConfig): Promise<Files> {
    const { path, releases, log } = this.#options;
    const domain = this.#domain;
    const release = this.#release;
    const inForce = await this.#content(release);
    const files = await this.#compile(loaded, inForce);
    const next = files.flatMap((file) => this.#replacement(file, inForce));
    if (next.length === 0) return files;
    const published = await releases.publish(
      {
        domain,
        expectedRelease: release,
        draftRevision: 0,
        operations: next.map(putFile),
        note: path,
        canary: undefined,
      },
      { name: FILE, from: path },
    );
    const number = published.release?.number;
    const changes = changesBetween(inForce, next);
    log.info({ domain, release: number, ...changes }, `release ${number} published`);
    return files;
  }

  async #isSaid(loaded: LoadedConfig): Promise<boolean> {
    if (this.#said === undefined) return false;
    return covers(this.#said, await this.#compile(loaded, this.#said));
  }

  /** To say nothing of queues any more is not to say that there are none. */
  async #tellWhatIsLeftOut(loaded: LoadedConfig): Promise<void> {
    const said = this.#said ?? [];
    const files = await this.#compile(loaded, said);
    const isLeft = ({ path }: config.ConfigFile): boolean =>
      files.some((file) => file.path === path);
    const { log, path } = this.#options;
    for (const { path: left } of said.filter((file) => !isLeft(file))) {
      log.warn(
        { file: path, left },
        `the file says nothing of ${left} any more; it stays as it is`,
      );
    }
    this.#said = this.#said?.filter(isLeft);
  }

  async #tellWhoWentOn(loaded: LoadedConfig): Promise<void> {
    const { path, releases, log } = this.#options;
    const domain = this.#domain;
    const release = this.#release;
    const inForce = await this.#content(release);
    if (covers(this.#own(inForce), await this.#compile(loaded, inForce))) return;
    const [newest] = await releases.listReleases({ domain, before: release + 1, limit: 1 });
    const author = newest?.author ?? 'somebody';
    log.warn(
      { domain, release, author, file: path },
      `the file is not what is in force: release ${release} by ${author} came after it`,
    );
  }

  /** Which of the releases has what the file says. */
  async #find(
    loaded: LoadedConfig,
    among: readonly config.Release[],
  ): Promise<config.Release | undefined> {
    for (const release of among) {
      const content = this.#own(await this.#content(release.number));
      if (covers(content, await this.#compile(loaded, content))) return release;
    }
    return undefined;
  }

  async #releasesOfFile(): Promise<config.Release[]> {
    const { releases } = this.#options;
    const found: config.Release[] = [];
    let before = 0;
    do {
      const page = await releases.listReleases({ domain: this.#domain, before, limit: PAGE });
      found.push(...page.filter(({ author }) => author === FILE));
      before = page.length < PAGE ? 0 : (page.at(-1)?.number ?? 0);
    } while (before > 1 && found.length <= EARLIER_MAX);
    return found.slice(0, EARLIER_MAX + 1);
  }

  #compile(loaded: LoadedConfig, earlier: Files): Promise<config.ConfigFile[]> {
    this.#earlier = earlier;
    const { source, env } = this.#options;
    return source.compile(loaded, { env, hashes: this.#hashes });
  }

  /** What of a content is the file's. */
  #own(content: Files): Files {
    const { owns } = this.#options.source;
    return content.map((file) => ({ ...file, sections: file.sections.filter(owns) }));
  }

  /** What takes the place of a file that is in force; nothing if it is that already. */
  #replacement(file: config.ConfigFile, inForce: Files): config.ConfigFile[] {
    const before = inForce.find(({ path }) => path === file.path);
    if (before === undefined) return file.sections.length > 0 ? [file] : [];
    const names = new Set(file.sections.map(({ name }) => name));
    const { owns } = this.#options.source;
    const others = before.sections.filter((one) => !owns(one) && !names.has(one.name));
    const sections = [...others, ...file.sections].sort((a, b) => (a.name < b.name ? -1 : 1));
    // Schema and parent are not the file's to say.
    const next = { ...before, sections };
    return sameSections(before, next) ? [] : [next];
  }

  get #release(): number {
    return this.#options.releases.domains.get(this.#domain)?.record.release ?? 0;
  }

  async #content(release: number): Promise<Files> {
    const { releases } = this.#options;
    return releases.unseal(this.#domain, await releases.content(this.#domain, release));
  }
}

function putFile(file: config.ConfigFile): config.Operation {
  return { operation: { $case: 'putFile', value: { file } } };
}
