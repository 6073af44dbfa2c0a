import type { config, sync } from '@malabar/contracts';
import { BusError, toBusError } from '@malabar/core';
import type { CallContext } from '@malabar/rpc';
import type { SyncMetrics } from './metrics.js';
import { type Content, type NodeContents, type Wish, wishOf } from './node-contents.js';
import type { ReleaseSource } from './release-source.js';

const REFUSAL_LENGTH_MAX = 1_000;

/** What all followings of a keeper share. */
export interface FollowingEnvironment {
  source: ReleaseSource;
  contents: NodeContents;
  metrics: SyncMetrics;
  /** Whether the caller may receive a domain as a node, now. */
  mayReceive(context: CallContext, domain: string): boolean;
  now(): number;
  /** A domain is denied because the backend did not answer: look at it again soon. */
  onTrouble(): void;
}

/**
 * One domain on the stream of one node: knows what was said last and decides what to say next. Keeps
 * no message: whatever happens meanwhile, the next one tells of the newest release.
 */
export class Following {
  readonly domain: string;
  /** It stands for its node: set by the hub, once. */
  admitted = false;
  readonly #hello: sync.Hello;
  readonly #context: CallContext;
  readonly #environment: FollowingEnvironment;
  readonly #wish: Wish;
  readonly #node: { id: string; tags: Record<string, string> };
  readonly #connectedAtMs: number;
  /** What the node last said to run. */
  #release: number;
  #sinceMs: number;
  #refusal = { release: 0, reason: '' };
  /** Checksum of what it runs, as far as we know. */
  #runs: string;
  #said: Pick<Content, 'release' | 'checksum'> | undefined;
  /** The node has not yet reported on what was said. */
  #unanswered = false;
  /** It reports at all: then nothing is said to it that it would only have to skip. */
  #answers = false;
  #held = false;
  /** To be said whether or not it is news: the notice again, or the content. */
  #asked: 'notice' | 'content' | undefined;
  #denied: BusError | undefined;
  #changedAtMs: number | undefined;

  constructor(
    hello: sync.Hello,
    subscription: sync.DomainSubscription,
    context: CallContext,
    environment: FollowingEnvironment,
  ) {
    this.domain = subscription.domain;
    this.#hello = hello;
    this.#context = context;
    this.#environment = environment;
    this.#wish = wishOf(hello.nodeId, subscription);
    this.#node = { id: hello.nodeId, tags: hello.tags };
    this.#runs = subscription.checksum;
    this.#connectedAtMs = environment.now();
    this.#release = subscription.release;
    this.#sinceMs = this.#connectedAtMs;
  }

  get nodeId(): string {
    return this.#hello.nodeId;
  }

  get peer(): string {
    return this.#context.peer;
  }

  /** Whether the caller may be a node of this domain. */
  get mayReceive(): boolean {
    return this.#environment.mayReceive(this.#context, this.domain);
  }

  /** The domain is denied for a reason that may be over in a moment. */
  get troubled(): boolean {
    return this.#denied?.retryable ?? false;
  }

  /** What people see of it. */
  node(place: { keeperId: string; connected: boolean }): config.Node {
    const { nodeId: id, component, hostname, zone, tags, client } = this.#hello;
    const { domain, peer } = this;
    const { source } = this.#environment;
    const offered = source.domains.has(domain) ? source.offeredRelease(domain, this.#node) : 0;
    return {
      ...{ id, domain, ...place, peer, component, hostname, zone, tags, client, offered },
      connectedAtMs: this.#connectedAtMs,
      subscriptions: [...this.#wish.subscriptions],
      release: this.#release,
      sinceMs: this.#sinceMs,
      refusal: this.#refusal.release === offered ? this.#refusal.reason : '',
    };
  }

  /** Something about the domain has changed at this time. */
  changed(atMs: number): void {
    this.#changedAtMs ??= atMs;
  }

  /** It is time to say again what was said. */
  remind(): void {
    this.#asked ??= 'notice';
  }

  /** The node asks for the content. */
  pull(): void {
    this.#asked = 'content';
    this.#environment.metrics.pulled();
  }

  /** The node has done something with a release; true if there may be something to say to it now. */
  reported({ release, refusal }: sync.Report): boolean {
    const said = this.#said?.release === release ? this.#said : undefined;
    this.#answers = true;
    if (said) this.#unanswered = false;
    if (refusal === '') this.#applied(release, said?.checksum ?? '');
    else this.#refused(release, refusal);
    const waits = this.#held && !this.#unanswered;
    if (waits) this.#held = false;
    return waits;
  }

  /** The next thing to say; undefined if there is nothing new. Never throws. */
  async next(): Promise<sync.SyncResponse | undefined> {
    const { contents } = this.#environment;
    try {
      this.#checkRight();
      for (;;) {
        const release = this.#offered();
        const content = await contents.get(this.domain, release, this.#wish);
        // While it was worked out something newer may have come.
        if (this.#offered() === release) return this.#say(content);
      }
    } catch (thrown) {
      return this.#deny(toBusError(thrown));
    }
  }

  #checkRight(): void {
    if (this.mayReceive) return;
    const message = `the caller has not the role node in domain ${this.domain}`;
    throw new BusError('FORBIDDEN', message);
  }

  #offered(): number {
    const { source } = this.#environment;
    const { domain } = this;
    if (!source.domains.has(domain)) {
      throw new BusError('NOT_FOUND', `there is no domain ${domain}`);
    }
    const release = source.offeredRelease(domain, this.#node);
    if (release === 0) throw new BusError('NOT_FOUND', `domain ${domain} has no release yet`);
    return release;
  }

  #say(content: Content): sync.SyncResponse | undefined {
    const { release, checksum, inline, full, bare } = content;
    const isNews = this.#said?.release !== release || this.#said.checksum !== checksum;
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked === undefined) {
      if (!isNews) return undefined;
      if (this.#answers && this.#unanswered) return this.#hold();
    }
    // A reminder is small: it may wait unread behind others.
    const reminds = asked === 'notice' && this.#said !== undefined;
    const withContent = asked === 'content' || (!reminds && inline && checksum !== this.#runs);
    if (isNews) this.#saying(content);
    this.#environment.metrics.noticed(withContent ? 'content' : 'bare');
    return withContent ? full : bare;
  }

  /** Says nothing until the node has reported on what was said before. */
  #hold(): undefined {
    this.#held = true;
    this.#changedAtMs = undefined;
  }

  #saying({ release, checksum }: Content): void {
    const { metrics, now } = this.#environment;
    this.#said = { release, checksum };
    this.#unanswered = true;
    this.#denied = undefined;
    if (this.#changedAtMs !== undefined) metrics.pushed(now() - this.#changedAtMs);
    this.#changedAtMs = undefined;
  }

  #deny(error: BusError): sync.SyncResponse | undefined {
    const { code, message } = error;
    if (error.retryable) this.#environment.onTrouble();
    const isNews = this.#denied?.message !== message;
    if (!isNews && this.#asked === undefined) return undefined;
    this.#asked = undefined;
    this.#said = undefined;
    this.#unanswered = false;
    this.#denied = error;
    this.#environment.metrics.noticed('denied');
    return { message: { $case: 'denied', value: { domain: this.domain, code, message } } };
  }

  #applied(release: number, checksum: string): void {
    if (this.#release !== release) this.#sinceMs = this.#environment.now();
    this.#release = release;
    this.#runs = checksum;
    if (this.#refusal.release === release) this.#refusal = { release: 0, reason: '' };
  }

  #refused(release: number, refusal: string): void {
    this.#refusal = { release, reason: refusal.slice(0, REFUSAL_LENGTH_MAX) };
    this.#environment.metrics.refused();
  }
}
