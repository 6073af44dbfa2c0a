import { keeper } from '@malabar/contracts';
import { ENTRY_SEQ_AT, readU16, readU48 } from '../core/keys.js';
import type {
  Kept,
  ModelDelivery,
  ModelJob,
  ModelQueue,
  ModelResult,
  ModelTopic,
  StoreView,
} from './words.suite.js';
import { DAY_MS } from './words.suite.js';

/** The queues and topics of the model, and the first thing that was wrong. */
export class Bus {
  failure: string | undefined;
  /** How often what has happened. */
  readonly tally = new Map<string, number>();
  readonly queues = new Map<string, ModelQueue>();
  /** Configurations on their way, oldest first. */
  configs: keeper.BusConfig[] = [];
  /** How many changes of deliveries there were. */
  changes = 0;
  /** Deliveries that have changed since the last commit was sealed. */
  protected readonly changed = new Set<ModelDelivery>();
  /** What must be told in the next commit, in this order. */
  protected untold: ModelResult[] = [];

  constructor(readonly view: StoreView) {}

  fail(message: string): undefined {
    this.failure ??= message;
  }

  saw(what: string, count = 1): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + count);
  }

  /** Takes over the configurations that the store has taken over. */
  syncConfig(): void {
    const last = this.configs.findLastIndex((config) => this.view.inEffect(config));
    for (const config of this.configs.splice(0, last + 1)) this.#configure(config);
  }

  #configure(config: keeper.BusConfig): void {
    const names = new Set(config.queues.map(({ name }) => name));
    for (const queue of this.queues.values()) {
      if (names.has(queue.name)) continue;
      queue.config = undefined;
      for (const topic of queue.topics.values()) topic.attached = false;
    }
    for (const queueConfig of config.queues) this.#configureQueue(queueConfig);
  }

  #configureQueue(config: keeper.QueueConfig): void {
    const queue = this.#queue(config.name);
    queue.config = config;
    queue.retentionsMs.push(config.retentionMs);
    for (const topic of queue.topics.values()) topic.attached = false;
    for (const topicConfig of config.topics) {
      const topic = queue.topics.get(topicConfig.name) ?? this.#newTopic(queue, topicConfig);
      topic.config = topicConfig;
      topic.attached = true;
      topic.delaysMs.push(topicConfig.delayMs);
    }
  }

  #queue(name: string): ModelQueue {
    const known = this.queues.get(name);
    if (known) return known;
    const shard = this.view.shardOf(name)?.id ?? -1;
    const queue: ModelQueue = {
      name,
      shard,
      config: undefined,
      retentionsMs: [DAY_MS],
      durable: false,
      topics: new Map(),
      jobs: [],
      keys: new Map(),
    };
    this.queues.set(name, queue);
    return queue;
  }

  #newTopic(queue: ModelQueue, config: keeper.TopicConfig): ModelTopic {
    const topic = { name: config.name, config, attached: true, durable: undefined, delaysMs: [] };
    queue.topics.set(config.name, topic);
    if (config.start === keeper.TopicStart.BEGINNING) {
      const from = this.view.shardOf(queue.name)?.trimmedTo ?? 0;
      this.saw('jobs for a topic that came later', queue.jobs.length - from);
      for (const job of queue.jobs.slice(from)) this.change(this.newDelivery(job, topic, true));
    }
    return topic;
  }

  queueOf(shard: number): ModelQueue | undefined {
    for (const queue of this.queues.values()) if (queue.shard === shard) return queue;
    this.fail(`nothing is known of shard ${shard}`);
    return undefined;
  }

  /** The delivery that a record of the states D and X is about. */
  protected at(key: string): ModelDelivery | undefined {
    const queue = this.queueOf(readU16(key, 1));
    const job = queue?.jobs[readU48(key, ENTRY_SEQ_AT)];
    const name = queue && this.topicName(queue.name, readU16(key, 3));
    return name === undefined ? undefined : job?.deliveries.get(name);
  }

  /** Set by the world: the name that a topic's number stands for. */
  topicName: (queue: string, id: number) => string | undefined = () => undefined;

  protected newDelivery(job: ModelJob, topic: ModelTopic, late: boolean, key = ''): ModelDelivery {
    const kept: Kept = {
      state: 'waiting',
      entry: false,
      dueAtMs: 0,
      attempts: 0,
      crashes: 0,
      forgivenAttempts: 0,
      forgivenCrashes: 0,
      holds: false,
      replays: 0,
    };
    const delivery = {
      job,
      topic,
      key,
      late,
      kept,
      durable: undefined,
      lease: undefined,
      releasedIn: -1,
    };
    job.deliveries.set(topic.name, delivery);
    return delivery;
  }

  protected change(delivery: ModelDelivery, change: Partial<Kept> = {}): void {
    delivery.kept = { ...delivery.kept, ...change };
    this.changed.add(delivery);
    this.changes++;
  }

  /** The change that comes next is told, if the topic wants it to be. */
  protected tell(delivery: ModelDelivery, status: keeper.ResultStatus, attempt: number): void {
    const { job, topic } = delivery;
    const { result } = topic.config;
    if (!result?.of.includes(status)) return;
    const word = keeper.ResultStatus[status].toLowerCase();
    this.untold.push({ to: result.queue, says: `${job.id}/${topic.name}/${attempt}/${word}` });
  }
}
