import { Encoder, keeper, records, storage } from '@malabar/contracts';
import { BusError, frameOffsets, jobId, toFault } from '@malabar/core';
import type { Key, LogEntry } from '../engine.js';
import { type BatchGrowth, grow } from './batch.js';
import { BatchTable } from './batch-table.js';
import type { KeyWindow } from './key-lines.js';
import { expiryKey, idempotencyKey, shardKey, TIME_MAX_MS } from './keys.js';
import type { LeaseTable } from './lease.js';
import {
  encodeRecord,
  type JobBatch,
  type JobPart,
  RECORD_BYTES_MAX,
  rollRecords,
  SPECIAL_RECORD_BYTES_MAX,
} from './log-record.js';
import { dueAtMs, type Held, MakingRoom, type Replaced } from './making-room.js';
import { scheduleWrites } from './placement.js';
import { type Special, Topic } from './topic.js';
import type { StagedWrites, WriteBuffer } from './write-buffer.js';

const IDEMPOTENCY_WINDOW_MS = 24 * 3_600_000;
/** They are parts of keys, and lmdb takes keys up to 1978 bytes. */
const NAME_BYTES_MAX = 1024;

/** One append on its way to a commit. */
export interface AppendCall {
  request: storage.AppendRequest;
  reply(response: storage.AppendResponse): void;
  /** It belongs to something that has happened already, so no limit of the queue stops it. */
  unlimited?: boolean;
}

/** What is known of idempotency keys when a commit is put together. */
export interface Keys {
  /** Who holds them on the disk. */
  known: ReadonlyMap<string, records.KeyRecord>;
  /** Those whose holders wait and may be replaced. */
  held: ReadonlyMap<string, Held | undefined>;
}

/** A batch that will be part of the log if the commit that carries it succeeds. */
export interface StagedAppend {
  shard: Shard;
  tail: number;
  acceptedAtMs: number;
  batches: JobBatch[];
  specials: Map<Topic, Special[]>;
  /** What it adds to batches, by id. */
  growths: Map<string, BatchGrowth>;
  /** What the new jobs take the place of. */
  replaced: ReadonlyMap<Topic, Replaced>;
  answers: Array<[AppendCall, storage.AppendResponse]>;
}

/** How a shard lies on the disk; changed only by tests, which must notice. */
export interface ShardLayout {
  /** How a commit's jobs are spread over log records. */
  roll: typeof rollRecords;
  /** The most stretches of taken jobs that a topic should have. */
  stretchesMax: number;
  /** What memory holds of the lines of keys. */
  keyWindow?: KeyWindow;
}

// They are in memory, and written whole with every commit that changes them.
const LAYOUT: ShardLayout = { roll: rollRecords, stretchesMax: 1024 };

/** One ordered log of a queue and the topics that read it. */
export class Shard {
  readonly topics = new Map<string, Topic>();
  /** Where the next job goes. */
  tail: number;
  acceptedAtMs: number;
  trimmedTo: number;
  nextTopic: number;
  /** Undefined while the queue is not configured. */
  config: keeper.QueueConfig | undefined;
  readonly #layout: ShardLayout;

  constructor(
    readonly id: number,
    readonly queue: string,
    record: records.ShardRecord,
    private readonly store: number,
    private readonly table: LeaseTable,
    private readonly writes: WriteBuffer,
    layout: Partial<ShardLayout> = {},
    readonly batches: BatchTable = new BatchTable(writes),
  ) {
    this.#layout = { ...LAYOUT, ...layout };
    this.tail = record.tail;
    this.acceptedAtMs = record.acceptedAtMs;
    this.trimmedTo = record.trimmedTo;
    this.nextTopic = record.nextTopic;
  }

  /** `nodes`: its entries that are for one node only, by node. */
  addTopic(
    id: number,
    config: keeper.TopicConfig,
    record: records.TopicRecord,
    nodes?: ReadonlyMap<string, number>,
  ): Topic {
    const { tail, table, writes } = this;
    const { keyWindow } = this.#layout;
    const topic = new Topic(this.id, id, config, record, tail, table, writes, nodes, keyWindow);
    this.topics.set(config.name, topic);
    return topic;
  }

  /** The topics that are configured: what is appended now is for them. */
  get attached(): Topic[] {
    return [...this.topics.values()].filter((topic) => topic.detachedAt === undefined);
  }

  /** Takes over new settings: topics come, change and go without touching their neighbours. */
  configure(config: keeper.QueueConfig): void {
    this.config = config;
    for (const topicConfig of config.topics) {
      const known = this.topics.get(topicConfig.name);
      if (known === undefined) this.#createTopic(topicConfig);
      else {
        known.attach();
        known.reconfigure(topicConfig);
      }
    }
    const names = new Set(config.topics.map((topic) => topic.name));
    for (const topic of this.attached) if (!names.has(topic.name)) topic.detach();
    this.save();
  }

  /** The queue is configured no more: it keeps what it has and accepts nothing. */
  detach(): void {
    if (this.config === undefined) return;
    this.config = undefined;
    for (const topic of this.attached) topic.detach();
    this.save();
  }

  #createTopic(config: keeper.TopicConfig): void {
    const fromBeginning = config.start === keeper.TopicStart.BEGINNING;
    const floor = fromBeginning ? this.trimmedTo : this.tail;
    const excluded = floor > 0 ? [0, floor] : [];
    const record = records.TopicRecord.fromPartial({ floor, excluded });
    this.addTopic(this.nextTopic++, config, record).dirty = true;
  }

  /** Writes the shard's own record with the next commit. */
  save(): void {
    const record = records.ShardRecord.fromPartial({
      queue: this.queue,
      topics: [...this.topics.values()].map(({ id, name }) => ({ id, name })),
      nextTopic: this.nextTopic,
      trimmedTo: this.trimmedTo,
      detached: this.config === undefined,
      tail: this.tail,
      acceptedAtMs: this.acceptedAtMs,
    });
    this.writes.put(shardKey(this.id), records.ShardRecord.encode(record).finish());
  }

  /** Plans the appends of one commit. Nothing has changed until `apply`. */
  stage(calls: readonly AppendCall[], keys: Keys, now: number, writes: StagedWrites): StagedAppend {
    const stage = new Stage(this, keys, Math.max(now, this.acceptedAtMs), writes.state);
    const answers = calls.map((call): [AppendCall, storage.AppendResponse] => [
      call,
      this.#answer(stage, call),
    ]);
    for (const topic of this.topics.values())
      if (topic.taken.ranges > this.#layout.stretchesMax) stage.emptyLog(topic);
    const batches = this.#write(stage, writes.appends);
    const { specials, growths, acceptedAtMs, tail } = stage;
    const { replaced } = stage.room;
    return { shard: this, tail, acceptedAtMs, batches, specials, growths, replaced, answers };
  }

  /** The commit that carried the staged append is durable. */
  apply(staged: StagedAppend, now: number): void {
    this.tail = staged.tail;
    this.acceptedAtMs = staged.acceptedAtMs;
    for (const topic of this.topics.values())
      topic.appended(staged.tail, staged.specials.get(topic) ?? [], now);
    for (const [topic, replaced] of staged.replaced) topic.replaced(replaced);
  }

  /** Ready deliveries of the fullest topic. */
  get ready(): number {
    let most = 0;
    for (const topic of this.topics.values()) most = Math.max(most, topic.counts().ready);
    return most;
  }

  #answer(stage: Stage, call: AppendCall): storage.AppendResponse {
    const { requestId } = call.request;
    try {
      const firstSeq = stage.tail;
      const exceptions = stage.add(call);
      const { acceptedAtMs } = stage;
      const place = { store: this.store, shard: this.id, firstSeq, acceptedAtMs };
      return { requestId, fault: undefined, ...place, exceptions, ready: 0 };
    } catch (error) {
      return storage.AppendResponse.fromPartial({ requestId, fault: toFault(error) });
    }
  }

  #write(stage: Stage, appends: LogEntry[]): JobBatch[] {
    let seq = this.tail;
    const bytesMax = stage.specials.size > 0 ? SPECIAL_RECORD_BYTES_MAX : RECORD_BYTES_MAX;
    return this.#layout.roll(stage.parts, bytesMax).map((parts) => {
      const { entry, batch } = encodeRecord(this.id, seq, stage.acceptedAtMs, parts);
      appends.push(entry);
      seq += batch.count;
      return batch;
    });
  }

  /** The id of a job of this shard. */
  idOf(acceptedAtMs: number, seq: number): string {
    return jobId(acceptedAtMs, this.store, this.id, seq);
  }
}

/** The appends of one shard while a commit is being put together. */
class Stage {
  readonly parts: JobPart[] = [];
  readonly specials = new Map<Topic, Special[]>();
  readonly growths = new Map<string, BatchGrowth>();
  readonly room: MakingRoom;
  readonly #encoder = new Encoder();
  /** Whom the jobs are for. */
  readonly #topics: readonly Topic[];
  readonly #keys: Map<string, records.KeyRecord>;
  readonly #held: Keys['held'];
  tail: number;

  constructor(
    private readonly shard: Shard,
    { known, held }: Keys,
    readonly acceptedAtMs: number,
    private readonly state: Map<Key, Uint8Array | undefined>,
  ) {
    this.#keys = new Map(known);
    this.#held = held;
    this.room = new MakingRoom(state, this.growths);
    this.tail = shard.tail;
    this.#topics = shard.attached;
  }

  /** Adds what may be added of a request; returns the exceptions. Throws if nothing may. */
  add({ request, unlimited = false }: AppendCall): storage.AppendException[] {
    const config = this.shard.config;
    if (config === undefined)
      throw new BusError('UNKNOWN_QUEUE', `queue '${request.queue}' does not exist`);
    const offsets = frameOffsets(request.jobs);
    if (offsets === undefined || offsets.length !== request.count + 1)
      throw new BusError(
        'INVALID',
        `the batch does not hold the ${request.count} jobs it announces`,
      );
    const plain = request.options.length === 0;
    if (plain && (unlimited || request.count <= this.#room(config.waitingMax))) {
      if (request.count > 0) this.parts.push({ bytes: request.jobs, count: request.count });
      this.tail += request.count;
      return [];
    }
    return this.#addEach(request, offsets, config);
  }

  #room(waitingMax: number): number {
    if (waitingMax === 0) return Number.POSITIVE_INFINITY;
    let waiting = 0;
    for (const topic of this.#topics) waiting = Math.max(waiting, topic.waiting);
    return waitingMax - waiting - (this.tail - this.shard.tail) + this.room.count;
  }

  #addEach(
    request: storage.AppendRequest,
    offsets: number[],
    config: keeper.QueueConfig,
  ): storage.AppendException[] {
    const exceptions: storage.AppendException[] = [];
    const options = new Map(request.options.map((option) => [option.index, option]));
    let from = 0;
    const flush = (to: number): void => {
      if (to > from)
        this.parts.push({
          bytes: request.jobs.subarray(offsets[from], offsets[to]),
          count: to - from,
        });
      from = to + 1;
    };
    for (let index = 0; index < request.count; index++) {
      const exception = this.#addOne(index, options.get(index), config);
      if (exception === undefined) continue;
      exceptions.push(exception);
      flush(index);
    }
    flush(request.count);
    return exceptions;
  }

  #addOne(
    index: number,
    options: storage.JobOptions | undefined,
    config: keeper.QueueConfig,
  ): storage.AppendException | undefined {
    const key = options?.idempotencyKey ?? '';
    if (Buffer.byteLength(key) > NAME_BYTES_MAX)
      return { index, duplicateOf: '', fault: tooLong('an idempotency key') };
    if (Buffer.byteLength(options?.node ?? '') > NAME_BYTES_MAX)
      return { index, duplicateOf: '', fault: tooLong('the name of a node') };
    if (options?.keys.some((one) => Buffer.byteLength(one.key) > NAME_BYTES_MAX))
      return { index, duplicateOf: '', fault: tooLong('the key of a job') };
    const holder = this.#holder(key);
    if (holder !== undefined && !options?.debounceMs) {
      const duplicateOf = this.shard.idOf(holder.acceptedAtMs, holder.seq);
      return { index, duplicateOf, fault: undefined };
    }
    const notOpen = options?.batch ? this.shard.batches.refusal(options.batch) : undefined;
    if (notOpen) return { index, duplicateOf: '', fault: toFault(notOpen) };
    const sinceMs = holder && this.#replace(key, holder);
    const limit = Math.min(this.#room(config.waitingMax), this.#room(options?.maxWaiting ?? 0));
    if (limit < 1 && sinceMs === undefined) return { index, duplicateOf: '', fault: this.#full() };
    if (options && key !== '') this.#remember(options, sinceMs ?? 0);
    if (options) this.#special(options, sinceMs ?? this.acceptedAtMs);
    this.tail++;
    return undefined;
  }

  /** Who has the key, if that counts still. */
  #holder(key: string): records.KeyRecord | undefined {
    const holder = key === '' ? undefined : this.#keys.get(key);
    return holder !== undefined && holder.expiresAtMs > this.acceptedAtMs ? holder : undefined;
  }

  /**
   * The next job takes the place of its key's holder, unless that was begun. Answers since when a job of
   * this row waits; undefined if nothing was replaced.
   */
  #replace(key: string, holder: records.KeyRecord): number | undefined {
    const now = this.acceptedAtMs;
    const why = `job ${this.shard.idOf(now, this.tail)} took its place`;
    const held = this.#held.get(key);
    if (holder.seq >= this.shard.tail) {
      this.room.ofStaged(holder.seq, this.#topics, this.specials, { why, now });
    } else if (held?.seq === holder.seq) this.room.ofHeld(held, why, now);
    else return undefined;
    return holder.sinceMs || holder.acceptedAtMs;
  }

  #full(): { code: string; message: string } {
    const message = `queue '${this.shard.queue}' is full; consumers do not keep up or are away`;
    return toFault(new BusError('QUEUE_FULL', message));
  }

  #remember(options: storage.JobOptions, sinceMs: number): void {
    const { id } = this.shard;
    const { idempotencyKey: key, idempotencyWindowMs, debounceMs } = options;
    // A key that ended before its job is begun would let a second one in beside it.
    const windowMs = Math.max(idempotencyWindowMs || IDEMPOTENCY_WINDOW_MS, debounceMs);
    const expiresAtMs = Math.min(this.acceptedAtMs + windowMs, TIME_MAX_MS);
    const record = { seq: this.tail, acceptedAtMs: this.acceptedAtMs, expiresAtMs, sinceMs };
    this.#keys.set(key, record);
    this.state.set(idempotencyKey(id, key), records.KeyRecord.encode(record).finish());
    this.state.set(expiryKey(id, expiresAtMs, key), new Uint8Array(0));
  }

  /**
   * Lets all jobs of this commit leave the log's order for a topic. Where some leave it and the others
   * wait, each makes a stretch of its own, without end while nobody takes those that wait; so from
   * some number on all leave it, until the stretches are fewer. They come due at once and in their order.
   */
  emptyLog(topic: Topic): void {
    if (topic.detachedAt !== undefined) return;
    const gone = new Set(this.specials.get(topic)?.map(({ seq }) => seq));
    for (const seq of this.room.replaced.get(topic)?.unborn ?? []) gone.add(seq);
    for (let seq = this.shard.tail; seq < this.tail; seq++)
      if (!gone.has(seq)) this.#leaveLog(topic, seq, {}, this.acceptedAtMs);
  }

  #special(options: storage.JobOptions, sinceMs: number): void {
    const everywhere = isSpecial(options);
    if (!everywhere && options.keys.length === 0) return;
    for (const topic of this.#topics)
      if (everywhere || keyIn(options, topic.config) !== '')
        this.#leaveLog(topic, this.tail, options, sinceMs);
    grow(this.growths, options.batch, { jobs: 1, deliveries: this.#topics.length });
  }

  /** `sinceMs`: when the first job of its row was accepted. */
  #leaveLog(
    topic: Topic,
    seq: number,
    options: Partial<storage.JobOptions>,
    sinceMs: number,
  ): void {
    const { acceptedAtMs } = this;
    const key = keyIn(options, topic.config);
    const due = dueAtMs(options, { acceptedAtMs, sinceMs, delayMs: topic.config.delayMs });
    const { priority = 0, expiresAtMs, leaseMs } = options;
    const { node, nodeWaitMs, batch } = options;
    const record = records.EntryRecord.fromPartial({
      acceptedAtMs,
      sinceMs: acceptedAtMs,
      dueAtMs: due,
      priority: Math.min(priority, 9),
      expiresAtMs,
      leaseMs,
      node,
      nodeWaitMs,
      key,
      lined: key !== '' && due <= acceptedAtMs,
      batch,
    });
    const list = this.specials.get(topic) ?? [];
    const special = { seq, record };
    list.push(special);
    this.specials.set(topic, list);
    for (const [key, value] of scheduleWrites(this.shard.id, topic.id, special, this.#encoder))
      this.state.set(key, value);
  }
}

/** The job's key in a topic; empty for none, and for one that is for one node only. */
function keyIn(
  { keys = [], node = '' }: Partial<storage.JobOptions>,
  { key }: keeper.TopicConfig,
): string {
  if (key === undefined || node !== '') return '';
  return keys.find(({ from }) => from === key.from)?.key ?? '';
}

function tooLong(what: string): { code: string; message: string } {
  const message = `${what} has at most ${NAME_BYTES_MAX} bytes`;
  return toFault(new BusError('INVALID', message));
}

/** Jobs that cannot simply be delivered in the log's order. */
function isSpecial(options: storage.JobOptions): boolean {
  return (
    options.deliverAtMs > 0 ||
    options.debounceMs > 0 ||
    options.priority > 0 ||
    options.expiresAtMs > 0 ||
    options.leaseMs > 0 ||
    options.node !== '' ||
    options.batch !== ''
  );
}
