import { hostname } from 'node:os';
import type { config, sync } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { KeeperServices } from '../connection.js';
import type { KeeperClientLog } from '../log.js';
import { DomainFollower, type SubscribeOptions } from './follower.js';
import { OverrideFile, type Overrides } from './override.js';
import { Reports } from './reports.js';
import { readSnapshot, type Snapshot, type SnapshotKey, writeSnapshot } from './snapshot.js';
import { SyncStream } from './stream.js';
import type { EffectiveView } from './view.js';

/** Who a node says that it is. */
export interface NodeIdentity {
  /** Unique among the nodes of its domains. */
  nodeId: string;
  /** Role of the program, e.g. `checkout`. */
  component: string;
  zone: string;
  tags: Readonly<Record<string, string>>;
}

export interface ConfigClientOptions {
  client: KeeperServices['sync'];
  node: NodeIdentity;
  snapshotFile?: string;
  snapshotKey?: SnapshotKey;
  overrideFile?: string;
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
}

/** A domain that this program follows. */
export interface ConfigSubscription {
  readonly domain: string;
  /** The values in force; undefined before the first. */
  readonly current: EffectiveView | undefined;
  /** The first values, from the keeper or from the snapshot, once `onChange` has taken them. */
  readonly ready: Promise<EffectiveView>;
}

/** Name and version of this library, as `who` shows it. */
const CLIENT = 'malabar-node/0.1.0';
const OVERRIDE_TAG = 'malabar.override';
const OVERRIDE_TAG_LENGTH_MAX = 200;

/** The configuration side of a keeper client: one stream, one snapshot, any number of domains. */
export class ConfigClient {
  readonly #options: ConfigClientOptions;
  readonly #followers = new Map<string, DomainFollower>();
  readonly #reports: Reports;
  readonly #denied = new Map<string, string>();
  #overrides: Overrides = new Map();
  #overrideFile: OverrideFile | undefined;
  #saidOverridden = '';
  #snapshot: Snapshot | undefined;
  #started: Promise<void> | undefined;
  #stream: SyncStream | undefined;
  #writing: Promise<void> | undefined;
  #unwritten = false;
  #closed = false;
  #awaySinceMs: number | undefined;

  constructor(options: ConfigClientOptions) {
    const { clock, random } = options;
    this.#options = options;
    const send = (value: sync.Report): void => this.#stream?.send({ $case: 'report', value });
    this.#reports = new Reports({ clock, random, send });
    this.#awaySinceMs = options.clock.now();
  }

  /** Since when no keeper talks to this node, Unix milliseconds; undefined while one does. */
  get awaySinceMs(): number | undefined {
    return this.#awaySinceMs;
  }

  /** Follows a domain from now on, once per client. Its first values come to `onChange` like all. */
  subscribe(options: SubscribeOptions): ConfigSubscription {
    const { domain } = options;
    if (this.#closed) throw new BusError('INVALID', 'the keeper client is closed');
    if (this.#followers.has(domain)) {
      throw new BusError('INVALID', `domain ${domain} is already subscribed to by this client`);
    }
    const follower = new DomainFollower(options, {
      log: this.#options.log,
      onReport: (release, refusal) => this.#reports.add({ domain, release, refusal }),
      onApplied: () => this.#applied(),
    });
    this.#followers.set(domain, follower);
    this.#started ??= this.#start();
    void this.#started.then(() => this.#begin(follower));
    return follower;
  }

  /** Resolves when every domain that is subscribed to by now has its first values. */
  async ready(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.ready));
  }

  /** Ends the stream; calls nobody any more. Resolves when the snapshot is on disk. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#reports.stop();
    this.#stream?.stop();
    this.#overrideFile?.stop();
    for (const follower of this.#followers.values()) follower.stop();
    await this.#started;
    await this.#writing;
  }

  async #start(): Promise<void> {
    const { overrideFile: path, clock, log } = this.#options;
    this.#snapshot = await this.#readSnapshot();
    if (path === undefined) return;
    const onChange = (overrides: Overrides): void => this.#override(overrides);
    this.#overrideFile = new OverrideFile({ path, clock, log, onChange });
    await this.#overrideFile.start();
    if (this.#closed) this.#overrideFile.stop();
  }

  async #readSnapshot(): Promise<Snapshot | undefined> {
    const { snapshotFile: path, snapshotKey, log } = this.#options;
    if (path === undefined) return undefined;
    try {
      return await readSnapshot(path, snapshotKey);
    } catch (error) {
      log.error({ reason: (error as Error).message }, 'snapshot ignored');
    }
    return undefined;
  }

  /** Gives a new follower what there is already, and the stream a reason to say hello. */
  #begin(follower: DomainFollower): void {
    if (this.#closed) return;
    follower.override(this.#overrides.get(follower.domain) ?? []);
    const config = this.#fromSnapshot(follower);
    if (config !== undefined) follower.offer(config, 'snapshot');
    if (this.#stream === undefined) this.#open();
    else this.#stream.restart();
  }

  #fromSnapshot({ domain, asked }: DomainFollower): config.EffectiveConfig | undefined {
    const { nodeId, domains = [] } = this.#snapshot ?? {};
    const { snapshotFile: file, node, log } = this.#options;
    const stored = domains.find(({ config }) => config.domain === domain);
    if (stored === undefined) return undefined;
    const { config, ...before } = stored;
    // A program that asks for more than the snapshot has would run with half of it.
    if (!sameAs(before, asked)) return undefined;
    // Whole files are the same for every node.
    const isWhole = asked.subscriptions.every(({ verbatim }) => verbatim);
    if (nodeId === node.nodeId || isWhole) return config;
    log.warn({ file, domain, node: nodeId }, 'snapshot of another node ignored');
    return undefined;
  }

  #open(): void {
    const { client, clock, random, log } = this.#options;
    this.#stream = new SyncStream({
      client,
      clock,
      random,
      log,
      hello: () => this.#hello(),
      onOpen: (keeperId) => {
        this.#reports.forget();
        this.#awaySinceMs = undefined;
        log.info({ keeperId }, 'following the keeper');
      },
      onEnd: () => {
        this.#awaySinceMs ??= clock.now();
      },
      onNotice: (notice) => this.#noticed(notice),
      onDenied: (denied) => this.#refusedUs(denied),
    });
  }

  #hello(): sync.Hello {
    const { nodeId, component, zone, tags } = this.#options.node;
    const overridden = this.#overridden();
    this.#saidOverridden = overridden;
    return {
      nodeId,
      component,
      zone,
      hostname: hostname(),
      client: CLIENT,
      domains: [...this.#followers.values()].map((follower) => follower.hello()),
      tags: overridden === '' ? { ...tags } : { ...tags, [OVERRIDE_TAG]: overridden },
    };
  }

  #overridden(): string {
    const names = [...this.#followers.values()].flatMap(({ current }) => current?.overridden ?? []);
    return names.join(' ').slice(0, OVERRIDE_TAG_LENGTH_MAX);
  }

  #override(overrides: Overrides): void {
    this.#overrides = overrides;
    for (const follower of this.#followers.values()) {
      follower.override(overrides.get(follower.domain) ?? []);
    }
  }

  #applied(): void {
    this.#write();
    // People see with `malabar config who` that this node runs other values than its release says.
    if (this.#overridden() !== this.#saidOverridden) this.#stream?.restart();
  }

  #noticed(notice: sync.Notice): void {
    const { domain } = notice;
    this.#denied.delete(domain);
    const pull = this.#followers.get(domain)?.noticed(notice);
    if (pull) this.#stream?.send({ $case: 'pull', value: { domain } });
  }

  #refusedUs({ domain, code, message }: sync.Denied): void {
    if (this.#denied.get(domain) === message) return;
    this.#denied.set(domain, message);
    this.#options.log.warn(
      { domain, code, reason: message },
      'the keeper does not give this domain',
    );
  }

  /** One write at a time; what changes meanwhile is in the next one. */
  #write(): void {
    if (this.#options.snapshotFile === undefined) return;
    this.#unwritten = true;
    this.#writing ??= this.#writeAll(this.#options.snapshotFile);
  }

  async #writeAll(path: string): Promise<void> {
    const { snapshotKey, node, log } = this.#options;
    while (this.#unwritten) {
      this.#unwritten = false;
      try {
        await writeSnapshot(path, { nodeId: node.nodeId, domains: this.#stored() }, snapshotKey);
      } catch (error) {
        log.error({ file: path, reason: (error as Error).message }, 'snapshot not written');
      }
    }
    this.#writing = undefined;
  }

  #stored(): Snapshot['domains'] {
    return [...this.#followers.values()].flatMap(({ config, asked }) =>
      config === undefined ? [] : [{ ...asked, config }],
    );
  }
}

function sameAs(one: object, other: object): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value: object): Array<[string, unknown]> {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}
