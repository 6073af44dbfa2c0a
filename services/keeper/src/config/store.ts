import type { Author } from '@malabar/access';
import type { config } from '@malabar/contracts';
import { BusError, type Clock, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { ContentLimits } from '@malabar/typed-config';
import type { Backend } from '../backend.js';
import type { ConfigMetrics, ReleaseAction } from '../metrics.js';
import { AuditLog } from './audit.js';
import { abort, type Candidate, offered, promote } from './canary.js';
import { load, noSuchDomain } from './change.js';
import { createCommit } from './commits.js';
import { ContentRules, type Normalize, type Validate } from './content-rules.js';
import { Contents, type Files } from './contents.js';
import { deleteDomain, putDomain } from './domains.js';
import { discardDraft, editDraft } from './drafts.js';
import { Keyring } from './keyring.js';
import { pageSize } from './limits.js';
import type { Nodes, Parts } from './parts.js';
import { publish } from './publishing.js';
import { diff, getEffective, getFiles, listReleases, validate } from './reading.js';
import { rollback } from './rollback.js';
import type { SecretKeys } from './secret-keys.js';
import { Secrets } from './secrets.js';
import { NO_SETTINGS, toDomain } from './settings.js';
import { Sweeper } from './sweeping.js';
import { type DomainState, DomainView } from './view.js';

export interface ConfigStoreOptions {
  backend: Backend;
  secretKeys: SecretKeys;
  limits: ContentLimits;
  /** Releases that stay restorable, where a domain does not say. */
  history: number;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: ConfigMetrics;
}

/**
 * The configuration of all domains. What it knows of them follows the backend's watch, so every keeper
 * sees the same; what it writes is on condition of what it has read, so no keeper undoes another's
 * work. Every write names its author and is audited.
 */
export class ConfigStore {
  readonly #parts: Parts;
  readonly #sweeper: Sweeper;
  readonly #metrics: ConfigMetrics;
  #nodes: Nodes = async () => ({ nodes: [], silentKeepers: [] });

  constructor(options: ConfigStoreOptions) {
    const { backend, clock, random, log, limits, history, secretKeys, metrics } = options;
    const audit = new AuditLog({ backend, clock, random });
    const keyring = new Keyring({ backend, clock, audit, secretKeys });
    this.#parts = {
      backend,
      clock,
      commit: createCommit(backend, clock, random),
      view: new DomainView({ backend, clock, log }),
      contents: new Contents(backend),
      keyring,
      secrets: new Secrets(keyring),
      audit,
      rules: new ContentRules(limits),
      history,
      nodes: (request) => this.#nodes(request),
    };
    this.#sweeper = new Sweeper(this.#parts, log);
    this.#metrics = metrics;
  }

  /** Resolves once every domain is known. Throws INVALID if the secrets do not open with our keys. */
  async start(): Promise<void> {
    await this.#parts.keyring.load();
    await this.#parts.view.start();
    this.#sweeper.start(this.#parts.clock);
  }

  stop(): void {
    this.#sweeper.stop();
    this.#parts.view.stop();
  }

  /** Every domain, as this keeper sees it. */
  get domains(): ReadonlyMap<string, DomainState> {
    return this.#parts.view.domains;
  }

  /** Since when the backend does not answer, Unix milliseconds; undefined while it does. */
  get lostAtMs(): number | undefined {
    return this.#parts.view.lostAtMs;
  }

  get cachedBytes(): number {
    return this.#parts.contents.cachedBytes;
  }

  /**
   * Tells of every domain that has another release, canary or settings, or is gone, once `domains` has
   * it; again for all of them after an outage of the backend, if they changed. Must not throw.
   */
  onChange(listener: (domain: string) => void): () => void {
    return this.#parts.view.onChange(listener);
  }

  /** Adds a rule that contents of one domain must obey. It sees plain secrets. */
  addValidator(domain: string, validate: Validate): void {
    this.#parts.rules.add(domain, validate);
  }

  /** Sets the form in which contents of one domain are kept, however they are edited. */
  setForm(domain: string, normalize: Normalize): void {
    this.#parts.rules.setForm(domain, normalize);
  }

  /** Says who can be asked which nodes run what. */
  askNodes(nodes: Nodes): void {
    this.#nodes = nodes;
  }

  /** The release that a node should run: 0 before the first, and where there is no such domain. */
  offeredRelease(domain: string, node: Candidate): number {
    const state = this.domains.get(domain);
    return state === undefined ? 0 : offered(state.record, node);
  }

  /** The files of a release, secrets sealed; none for release 0. Shared: never change them. */
  async content(domain: string, release: number): Promise<Files> {
    const { contents } = this.#parts;
    return contents.read(domain, await contents.manifest(domain, release));
  }

  /** Files of `content` with their secrets as they are, for who may have them. */
  unseal(domain: string, files: Files): Promise<Files> {
    return this.#parts.secrets.open(domain, files);
  }

  listDomains(): config.Domain[] {
    const states = [...this.domains.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return states.map(({ name, record }) => toDomain(name, record));
  }

  getDomain(domain: string): config.Domain {
    const state = this.domains.get(domain);
    if (state === undefined) throw noSuchDomain(domain);
    return toDomain(domain, state.record);
  }

  putDomain(request: config.PutDomainRequest, by: Author): Promise<config.Domain> {
    return this.#write(() => putDomain(this.#parts, request, by));
  }

  /** Makes a domain unless it is there already. */
  async ensureDomain(
    domain: string,
    settings: Partial<config.DomainSettings>,
    by: Author,
  ): Promise<void> {
    if (this.domains.has(domain)) return;
    const whole = { ...NO_SETTINGS, ...settings };
    try {
      await putDomain(this.#parts, { domain, settings: whole, settingsRevision: 0 }, by);
    } catch (error) {
      if (!(error instanceof BusError && error.code === 'CONFLICT')) throw error;
      // Another keeper has made it a moment ago: our own view may not have it yet.
      const { revision } = await load(this.#parts, domain);
      await this.#parts.view.reached(revision);
    }
  }

  deleteDomain(request: config.DeleteDomainRequest, by: Author): Promise<void> {
    return this.#write(() => deleteDomain(this.#parts, request, by));
  }

  getFiles(request: config.GetFilesRequest, by: Author): Promise<config.GetFilesResponse> {
    return getFiles(this.#parts, request, by);
  }

  getEffective(request: config.GetEffectiveRequest): Promise<config.EffectiveConfig> {
    return getEffective(this.#parts, request);
  }

  diff(request: config.DiffRequest): Promise<config.Change[]> {
    return diff(this.#parts, request);
  }

  editDraft(request: config.EditDraftRequest, by: Author): Promise<config.EditDraftResponse> {
    return this.#write(() => editDraft(this.#parts, request, by));
  }

  discardDraft(request: config.DiscardDraftRequest, by: Author): Promise<void> {
    return this.#write(() => discardDraft(this.#parts, request, by));
  }

  validate(request: config.ValidateRequest): Promise<config.ValidateResponse> {
    return validate(this.#parts, request);
  }

  publish(request: config.PublishRequest, by: Author): Promise<config.PublishResponse> {
    return this.#release('publish', () => publish(this.#parts, request, by));
  }

  promote(request: config.PromoteRequest, by: Author): Promise<config.PromoteResponse> {
    return this.#release('promote', () => promote(this.#parts, request, by));
  }

  abort(request: config.AbortRequest, by: Author): Promise<config.AbortResponse> {
    return this.#release('abort', () => abort(this.#parts, request, by));
  }

  rollback(request: config.RollbackRequest, by: Author): Promise<config.RollbackResponse> {
    return this.#release('rollback', () => rollback(this.#parts, request, by));
  }

  listReleases(request: config.ListReleasesRequest): Promise<config.Release[]> {
    return listReleases(this.#parts, request);
  }

  listAudit({ domain, cursor, limit }: config.ListAuditRequest): Promise<config.ListAuditResponse> {
    return this.#parts.audit.list(domain, pageSize(limit), cursor);
  }

  listNodes(request: config.ListNodesRequest): Promise<config.ListNodesResponse> {
    return this.#nodes(request);
  }

  /** Wraps the data keys by the current secret key and begins a new one. */
  rotateSecretKey(by: Author): Promise<config.RotateSecretKeyResponse> {
    return this.#parts.keyring.rotate(by);
  }

  /** Takes away what is not needed any more; done now and then by itself. */
  sweep(): Promise<void> {
    return this.#sweeper.sweep();
  }

  async #release<T>(action: ReleaseAction, write: () => Promise<T>): Promise<T> {
    const answer = await this.#write(write);
    this.#metrics.done(action);
    return answer;
  }

  async #write<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      this.#metrics.refused(toBusError(error).code);
      throw error;
    }
  }
}
