import { common, records, storage } from '@malabar/contracts';
import { BusError, parseJobId } from '@malabar/core';
import {
  after,
  attemptPrefix,
  dueIn,
  ENTRY_SEQ_AT,
  type EntryLetter,
  entryKey,
  lanePrefix,
  laterPrefix,
  lineIn,
  readU48,
  seqIn,
  topicPrefix,
  u48,
} from './core/keys.js';
import { placeOf } from './core/placement.js';
import type { Shard } from './core/shard.js';
import type { Topic } from './core/topic.js';
import type { Page } from './core/write-buffer.js';
import type { Store } from './store.js';

const LIMIT = 50;
const LIMIT_MAX = 1000;
/** Jobs looked at in one step when walking back through the log. */
const STRIDE = 512;

const { DeliveryState } = common;

/** One delivery found by a walk, before its job is looked up. */
interface Found {
  seq: number;
  entry?: records.EntryRecord;
}

/** A stretch of a walk: what was found and where to go on, undefined at the end. */
interface Step {
  found: Found[];
  next: string | undefined;
}

/** Answers people's questions about jobs. Reads only; never needs memory beyond one page. */
export class Browser {
  constructor(private readonly store: Store) {}

  /** One page of the deliveries of a topic in one state. Throws INVALID for a bad state or cursor. */
  async list(request: storage.ListJobsRequest): Promise<storage.ListJobsResponse> {
    const shard = this.store.shard(request.queue);
    const topic = this.store.topic(request.queue, request.topic);
    const limit = Math.min(request.limit || LIMIT, LIMIT_MAX);
    const walk = this.#walk(shard, topic, request.state);
    const found: Found[] = [];
    let cursor: string | undefined = request.cursor;
    while (cursor !== undefined && found.length < limit) {
      const step: Step = await walk(cursor, limit - found.length);
      found.push(...step.found);
      cursor = step.next;
    }
    const deliveries: storage.Delivery[] = [];
    for (const one of found) {
      const delivery = await this.#describe(shard, topic, one, request.state, request.withBody);
      if (delivery) deliveries.push(delivery);
    }
    return { deliveries, nextCursor: cursor ?? '' };
  }

  /** One job in every topic it was accepted for. Throws UNKNOWN_JOB. */
  async job(id: string): Promise<storage.GetJobResponse> {
    const { shard, seq, acceptedAtMs } = await this.locate(id);
    const job = await this.#readJob(shard, seq);
    const deliveries: storage.Delivery[] = [];
    for (const topic of shard.topics.values()) {
      const delivery = await this.#deliveryOf(shard, topic, seq, acceptedAtMs);
      if (delivery) deliveries.push(delivery);
    }
    return { queue: shard.queue, deliveries, job };
  }

  /** Where a job lies. Throws INVALID for a text that is no id, UNKNOWN_JOB if nothing is kept there. */
  async locate(id: string): Promise<{ shard: Shard; seq: number; acceptedAtMs: number }> {
    const at = parseJobId(id);
    const shard = this.store.shardById(at.shard);
    const unknown = new BusError('UNKNOWN_JOB', `job ${id} is not kept in this store (any more)`);
    if (shard === undefined || at.store !== this.store.number || at.seq >= shard.tail)
      throw unknown;
    const batch = await this.store.reader.read(shard.id, at.seq).catch((cause) => {
      throw (cause as BusError).code === 'UNKNOWN_JOB' ? unknown : cause;
    });
    if (batch.acceptedAtMs !== at.acceptedAtMs) throw unknown;
    return { shard, seq: at.seq, acceptedAtMs: at.acceptedAtMs };
  }

  #walk(
    shard: Shard,
    topic: Topic,
    state: common.DeliveryState,
  ): (cursor: string, limit: number) => Promise<Step> {
    switch (state) {
      case DeliveryState.READY:
        return (cursor, limit) => this.#walkWaiting(shard, topic, 'ready', cursor, limit);
      case DeliveryState.SCHEDULED:
        return (cursor, limit) => this.#walkWaiting(shard, topic, 'unmatured', cursor, limit);
      case DeliveryState.LEASED:
        return async (cursor, limit) => walkLeased(topic, cursor, limit);
      case DeliveryState.DEAD:
        return (cursor, limit) => this.#walkEntries('D', topic, cursor, limit);
      case DeliveryState.DISCARDED:
        return (cursor, limit) => this.#walkEntries('X', topic, cursor, limit);
      case DeliveryState.DONE:
        return (cursor, limit) => this.#walkDone(shard, topic, cursor, limit);
      default:
        throw new BusError('INVALID', 'name one delivery state to list');
    }
  }

  /** First the lanes, highest priority first, then those of single nodes and of keys, then the log. */
  async #walkWaiting(
    shard: Shard,
    topic: Topic,
    kind: 'ready' | 'unmatured',
    cursor: string,
    limit: number,
  ): Promise<Step> {
    const at = cursor || 'lane-9-';
    if (at.startsWith('log-')) return walkLog(topic, kind, numberIn(at.slice(4)), limit);
    if (at.startsWith('node-')) return this.#walkNodes(topic, kind, at.slice(5), limit);
    if (at.startsWith('line-')) return this.#walkLines(topic, at.slice(5), limit);
    if (at.startsWith('later-')) return this.#walkLater(topic, kind, at.slice(6), limit);
    const [, priorityText = '', from = ''] = /^lane-(\d)-([0-9a-f]*)$/.exec(at) ?? [];
    if (priorityText === '') throw badCursor(cursor);
    const priority = Number(priorityText);
    const nextLane = priority > 0 ? `lane-${priority - 1}-` : 'node-';
    if (topic.entries === 0) return { found: [], next: 'log-0' };
    const prefix = lanePrefix(shard.id, topic.id, priority);
    const split = prefix + u48(this.store.options.clock.now() + 1);
    const [start, end] = kind === 'ready' ? [prefix, split] : [split, after(prefix)];
    const begin = from === '' ? start : keyOf(from);
    if (!begin.startsWith(prefix)) throw badCursor(cursor);
    const page = await this.store.scan({ start: begin, end, limit });
    const next = page.next && `lane-${priority}-${hexOf(page.next)}`;
    return { found: waitingIn(topic, page), next: next ?? nextLane };
  }

  /** Deliveries that are for one node only, in whatever order: there are few. */
  async #walkNodes(
    topic: Topic,
    kind: 'ready' | 'unmatured',
    from: string,
    limit: number,
  ): Promise<Step> {
    const prefix = topicPrefix('N', topic.shard, topic.id);
    const start = from === '' ? prefix : keyOf(from);
    if (!start.startsWith(prefix)) throw badCursor(`node-${from}`);
    const now = this.store.options.clock.now();
    const page = await this.store.scan({ start, end: after(prefix), limit });
    const isWanted = ([key]: [string, Uint8Array]): boolean =>
      dueIn(key) <= now === (kind === 'ready');
    const wanted = { ...page, records: page.records.filter(isWanted) };
    const next = page.next && `node-${hexOf(page.next)}`;
    return {
      found: waitingIn(topic, wanted),
      next: next ?? (kind === 'ready' ? 'line-' : 'later-'),
    };
  }

  /** Deliveries that stand in line for their key, line by line. */
  async #walkLines(topic: Topic, from: string, limit: number): Promise<Step> {
    const prefix = topicPrefix('G', topic.shard, topic.id);
    const start = from === '' ? prefix : keyOf(from);
    if (!start.startsWith(prefix)) throw badCursor(`line-${from}`);
    const page = await this.store.scan({ start, end: after(prefix), limit });
    const standing = { records: page.records.filter(([key]) => !lineIn(key).isHold) };
    const next = page.next && `line-${hexOf(page.next)}`;
    return { found: waitingIn(topic, standing), next: next ?? 'later-' };
  }

  /** Deliveries with a key that join their line when their time comes, or have not done so yet. */
  async #walkLater(
    topic: Topic,
    kind: 'ready' | 'unmatured',
    from: string,
    limit: number,
  ): Promise<Step> {
    const prefix = laterPrefix(topic.shard, topic.id);
    const split = prefix + u48(this.store.options.clock.now() + 1);
    const [start, end] = kind === 'ready' ? [prefix, split] : [split, after(prefix)];
    const begin = from === '' ? start : keyOf(from);
    if (!begin.startsWith(prefix)) throw badCursor(`later-${from}`);
    const page = await this.store.scan({ start: begin, end, limit });
    const next = page.next && `later-${hexOf(page.next)}`;
    return { found: waitingIn(topic, page), next: next ?? 'log-0' };
  }

  async #walkEntries(
    letter: EntryLetter,
    topic: Topic,
    cursor: string,
    limit: number,
  ): Promise<Step> {
    const prefix = topicPrefix(letter, topic.shard, topic.id);
    const start = prefix + u48(numberIn(cursor || '0'));
    const page = await this.store.scan({ start, end: after(prefix), limit });
    const found = page.records.map(([key, value]) => ({
      seq: readU48(key, ENTRY_SEQ_AT),
      entry: records.EntryRecord.decode(value),
    }));
    const last = found[found.length - 1];
    return { found, next: page.next && last ? String(last.seq + 1) : undefined };
  }

  /** Newest first, as people look for them. */
  async #walkDone(shard: Shard, topic: Topic, cursor: string, limit: number): Promise<Step> {
    const end = cursor === '' ? shard.tail : numberIn(cursor);
    const start = Math.max(shard.trimmedTo, end - STRIDE);
    const others = new Set<number>();
    for (const letter of ['S', 'D', 'X'] as const) {
      const prefix = topicPrefix(letter, topic.shard, topic.id);
      for (const [key] of await this.store.scanAll(prefix + u48(start), prefix + u48(end)))
        others.add(readU48(key, ENTRY_SEQ_AT));
    }
    const found: Found[] = [];
    let seq = end;
    while (seq > start && found.length < limit) {
      seq--;
      if (topic.stateInMemory(seq) === 'taken' && !others.has(seq)) found.push({ seq });
    }
    return { found, next: seq > shard.trimmedTo ? String(seq) : undefined };
  }

  async #deliveryOf(
    shard: Shard,
    topic: Topic,
    seq: number,
    acceptedAtMs: number,
  ): Promise<storage.Delivery | undefined> {
    const memory = topic.stateInMemory(seq);
    if (memory === 'none') return undefined;
    const [state, entry] = await this.#stateOf(topic, seq, memory);
    const delivery = describe(shard, topic, seq, state, acceptedAtMs, entry);
    delivery.history = await this.#history(topic, seq);
    return delivery;
  }

  async #stateOf(
    topic: Topic,
    seq: number,
    memory: 'leased' | 'ready' | 'unmatured' | 'taken',
  ): Promise<[common.DeliveryState, records.EntryRecord | undefined]> {
    if (memory === 'ready') return [DeliveryState.READY, undefined];
    if (memory === 'unmatured') return [DeliveryState.SCHEDULED, undefined];
    if (memory === 'leased')
      return [DeliveryState.LEASED, topic.leases.find(seq)?.grant.entry?.record];
    const scheduled = await this.#scheduledEntry(topic, seq);
    if (scheduled !== undefined) {
      const due = scheduled.dueAtMs <= this.store.options.clock.now();
      return [due ? DeliveryState.READY : DeliveryState.SCHEDULED, scheduled];
    }
    for (const [letter, state] of [
      ['D', DeliveryState.DEAD],
      ['X', DeliveryState.DISCARDED],
    ] as const) {
      const bytes = await this.store.get(entryKey(letter, topic.shard, topic.id, seq));
      if (bytes !== undefined) return [state, records.EntryRecord.decode(bytes)];
    }
    return [DeliveryState.DONE, undefined];
  }

  async #scheduledEntry(topic: Topic, seq: number): Promise<records.EntryRecord | undefined> {
    const where = await this.store.get(entryKey('S', topic.shard, topic.id, seq));
    if (where === undefined) return undefined;
    const bytes = await this.store.get(placeOf(topic.shard, topic.id, seq, where));
    return bytes && records.EntryRecord.decode(bytes);
  }

  async #history(topic: Topic, seq: number): Promise<storage.Attempt[]> {
    const prefix = attemptPrefix(topic.shard, topic.id, seq);
    const found = await this.store.scanAll(prefix, after(prefix));
    return found.map(([key, value]) => {
      const number = readU48(key, ENTRY_SEQ_AT + 6);
      return { number, ...records.AttemptRecord.decode(value) };
    });
  }

  async #describe(
    shard: Shard,
    topic: Topic,
    { seq, entry }: Found,
    state: common.DeliveryState,
    withBody: boolean,
  ): Promise<storage.Delivery | undefined> {
    try {
      const batch = await this.store.reader.read(shard.id, seq);
      const delivery = describe(shard, topic, seq, state, batch.acceptedAtMs, entry);
      if (withBody) delivery.job = common.Job.decode(batch.job(seq));
      return delivery;
    } catch (error) {
      // Trimmed between the walk and the look: it is not in this state any more.
      if ((error as BusError).code === 'UNKNOWN_JOB') return undefined;
      throw error;
    }
  }

  async #readJob(shard: Shard, seq: number): Promise<common.Job> {
    const batch = await this.store.reader.read(shard.id, seq);
    return common.Job.decode(batch.job(seq));
  }
}

function describe(
  shard: Shard,
  topic: Topic,
  seq: number,
  state: common.DeliveryState,
  acceptedAtMs: number,
  entry: records.EntryRecord | undefined,
): storage.Delivery {
  const lease = state === DeliveryState.LEASED ? topic.leases.find(seq) : undefined;
  const waits = state === DeliveryState.READY || state === DeliveryState.SCHEDULED;
  return storage.Delivery.fromPartial({
    jobId: shard.idOf(acceptedAtMs, seq),
    queue: shard.queue,
    topic: topic.name,
    state,
    acceptedAtMs,
    dueAtMs: entry?.dueAtMs ?? acceptedAtMs + topic.config.delayMs,
    attempts: entry?.attempts ?? 0,
    crashes: entry?.crashes ?? 0,
    quarantined: entry?.quarantined ?? false,
    errorCode: entry?.errorCode ?? '',
    error: entry?.error ?? '',
    replays: entry?.replays ?? 0,
    consumer: lease?.grant.holder.name ?? '',
    node: entry?.node ?? '',
    nodeAway: waits && entry !== undefined && entry.node !== '' && topic.nodes.isAway(entry.node),
  });
}

const hexOf = (key: string): string => Buffer.from(key, 'latin1').toString('hex');
const keyOf = (hex: string): string => Buffer.from(hex, 'hex').toString('latin1');

/** The entries of a page of a lane that nobody has leased. */
function waitingIn(topic: Topic, { records: all }: Pick<Page, 'records'>): Found[] {
  return all
    .map(([key, value]) => ({ seq: seqIn(key), entry: records.EntryRecord.decode(value) }))
    .filter(({ seq }) => topic.stateInMemory(seq) !== 'leased');
}

function walkLog(topic: Topic, kind: 'ready' | 'unmatured', from: number, limit: number): Step {
  const found: Found[] = [];
  // A walk must not look at every job of the other kind.
  const unmaturedFrom = topic.unmaturedFrom ?? topic.end;
  const end = kind === 'ready' ? unmaturedFrom : topic.end;
  let seq = Math.max(from, kind === 'ready' ? topic.floor : unmaturedFrom);
  for (; seq < end && found.length < limit; seq++) {
    seq = topic.taken.firstMissing(seq);
    if (topic.stateInMemory(seq) === kind) found.push({ seq });
  }
  return { found, next: seq < end ? `log-${seq}` : undefined };
}

function walkLeased(topic: Topic, cursor: string, limit: number): Step {
  const from = numberIn(cursor || '0');
  const leases = [...topic.leases]
    .filter((lease) => lease.seq >= from)
    .sort((a, b) => a.seq - b.seq);
  const page = leases.slice(0, limit);
  const found = page.map(({ seq, grant }) =>
    grant.entry ? { seq, entry: grant.entry.record } : { seq },
  );
  const last = page[page.length - 1];
  return { found, next: leases.length > limit && last ? String(last.seq + 1) : undefined };
}

function numberIn(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badCursor(text);
  return Number(text);
}

const badCursor = (cursor: string): BusError =>
  new BusError('INVALID', `'${cursor.slice(0, 64)}' is not a cursor of this list`);
