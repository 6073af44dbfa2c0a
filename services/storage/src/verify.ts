import type { BusError } from '@malabar/core';
import {
  after,
  ENTRY_SEQ_AT,
  lineIn,
  readU48,
  seqIn,
  survivorKey,
  topicPrefix,
} from './core/keys.js';
import { decodeRecord } from './core/log-record.js';
import type { Shard } from './core/shard.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

/** What a verification has seen so far. */
export interface Findings {
  jobs: number;
  deliveries: number;
  /** One sentence each; empty is good. */
  problems: string[];
}

/** How often a topic that changes under our eyes is looked at again. */
const TRIES = 20;
const PROBLEMS_MAX = 1000;

/**
 * Reads everything and checks the invariants of the design: an accepted job is readable, each delivery
 * is in exactly one state, counters equal the sets. Yields its progress.
 */
export async function* verify(store: Store, queue = ''): AsyncGenerator<Findings> {
  const findings: Findings = { jobs: 0, deliveries: 0, problems: [] };
  for (const shard of store.shards.values()) {
    if (queue !== '' && shard.queue !== queue) continue;
    yield* verifyLog(store, shard, findings);
    for (const topic of shard.topics.values()) {
      findings.problems.push(...(await verifyTopic(store, shard, topic)));
      findings.deliveries += topic.accepted;
      yield findings;
    }
    findings.problems.length = Math.min(findings.problems.length, PROBLEMS_MAX);
  }
}

async function* verifyLog(
  store: Store,
  shard: Shard,
  findings: Findings,
): AsyncGenerator<Findings> {
  await store.committer.flush();
  const tail = shard.tail;
  let expected = shard.trimmedTo;
  while (expected < tail) {
    const entry = await store.options.engine.nextLog(shard.id, expected);
    const firstSeq = entry?.firstSeq ?? tail;
    // What the trimmer took meanwhile is not missing.
    if (firstSeq > expected && shard.trimmedTo < firstSeq)
      findings.problems.push(`${shard.queue}: jobs ${expected} to ${firstSeq - 1} are missing`);
    if (entry === undefined) break;
    try {
      const batch = decodeRecord(entry);
      findings.jobs += batch.count;
      expected = batch.endSeq;
    } catch (error) {
      findings.problems.push(`${shard.queue}: ${(error as BusError).message}`);
      expected = entry.firstSeq + 1;
    }
    yield findings;
  }
}

/** Checks a topic until nothing has changed during the check. */
async function verifyTopic(store: Store, shard: Shard, topic: Topic): Promise<string[]> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    await store.committer.flush();
    const before = fingerprint(topic);
    const problems = await checkTopic(store, shard, topic);
    if (problems.length === 0) return [];
    if (fingerprint(topic) === before)
      return problems.map((text) => `${shard.queue}/${topic.name}: ${text}`);
  }
  // It never stood still long enough for its sets to be compared; that alone is no fault.
  return [];
}

function fingerprint(topic: Topic): string {
  return JSON.stringify([topic.counts(), topic.floor, topic.taken.size, topic.entries]);
}

async function checkTopic(store: Store, shard: Shard, topic: Topic): Promise<string[]> {
  const keys = async (letter: string): Promise<string[]> => {
    const prefix = topicPrefix(letter, shard.id, topic.id);
    return (await store.scanAll(prefix, after(prefix))).map(([key]) => key);
  };
  const seqs = async (letter: string): Promise<number[]> =>
    (await keys(letter)).map((key) => readU48(key, ENTRY_SEQ_AT));
  const scheduled = await seqs('S');
  const inLines = (await keys('G')).filter((key) => !lineIn(key).isHold);
  const lanes = [...(await keys('L')), ...(await keys('N')), ...(await keys('H'))];
  const inLanes = [...lanes, ...inLines].map(seqIn);
  const dead = await seqs('D');
  const discarded = await seqs('X');
  return [
    ...checkSets(topic, scheduled, inLanes, dead, discarded),
    ...checkCounters(topic, scheduled, dead),
    ...(await checkReadable(store, shard, [...scheduled, ...dead])),
  ];
}

function checkSets(
  topic: Topic,
  scheduled: number[],
  inLanes: number[],
  dead: number[],
  discarded: number[],
): string[] {
  const problems: string[] = [];
  const lanes = new Set(inLanes);
  if (lanes.size !== inLanes.length) problems.push('a job is in two lanes');
  if (lanes.size !== scheduled.length || scheduled.some((seq) => !lanes.has(seq)))
    problems.push(`${scheduled.length} scheduled deliveries, but ${lanes.size} in the lanes`);
  const seen = new Set<number>();
  for (const seq of [...scheduled, ...dead, ...discarded]) {
    if (seen.has(seq)) problems.push(`job ${seq} is in two states`);
    seen.add(seq);
    if (!topic.allTaken(seq, seq + 1))
      problems.push(`job ${seq} is in a state and in the log's order`);
  }
  return problems;
}

function checkCounters(topic: Topic, scheduled: number[], dead: number[]): string[] {
  const problems: string[] = [];
  const counts = topic.counts();
  if (dead.length !== counts.dead)
    problems.push(`counts ${counts.dead} dead deliveries, but holds ${dead.length}`);
  if (scheduled.length !== topic.entries)
    problems.push(`counts ${topic.entries} scheduled deliveries, but holds ${scheduled.length}`);
  const sum = Object.values(counts).reduce((a, b) => a + b, 0);
  if (sum !== topic.accepted)
    problems.push(`its states add up to ${sum} deliveries of ${topic.accepted} accepted jobs`);
  return problems;
}

async function checkReadable(store: Store, shard: Shard, seqs: number[]): Promise<string[]> {
  const problems: string[] = [];
  for (const seq of seqs) {
    if (seq >= shard.trimmedTo) continue;
    if ((await store.get(survivorKey(shard.id, seq))) === undefined)
      problems.push(`job ${seq} waits, but its body is gone`);
  }
  return problems;
}
