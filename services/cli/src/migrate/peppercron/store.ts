import type { EtcdEntry } from '@malabar/etcd';
import { plural } from '../../format.js';
import { mappingOf, type ReadJob, readJob } from './job.js';

/** Below this lies everything that peppercron keeps. */
export const PREFIX = '/pepper/cron/';

/** What peppercron has in its etcd. */
export interface PeppercronStore {
  jobs: ReadJob[];
  /** Jobs that it will never run again, as it says itself. */
  completed: ReadonlySet<string>;
  /** Tags by node: of those that are alive, and of those that are configured. */
  nodes: ReadonlyMap<string, PeppercronNode>;
  /** What is not taken over, in words. */
  leftOut: string[];
  /** What is not as it should be, in words. */
  doubts: string[];
}

export interface PeppercronNode {
  isAlive: boolean;
  tags: string[];
}

interface Reading {
  jobs: ReadJob[];
  completed: Set<string>;
  nodes: Map<string, PeppercronNode>;
  /** `node` runs `job`. */
  assigned: Array<{ node: string; job: string; key: string; copy: Record<string, unknown> }>;
  /** How many values there are of which nothing is taken over, by what they are. */
  counts: Map<string, number>;
  doubts: string[];
}

/** Of each kind of key its form, and what becomes of it. The first that fits counts. */
const KINDS: ReadonlyArray<[RegExp, (reading: Reading, entry: EtcdEntry, name: string[]) => void]> =
  [
    [/^jobs\/(.*)$/, addJob],
    [/^dispatch\/(.+)$/, addState],
    [/^agent\/nodes\/alive\/(.+)$/, addAlive],
    [/^conf\/nodes\/(.+)$/, addNode],
    [/^agent\/execution\/.+$/, leaveOut('results of runs on nodes')],
    [/^agent\/([^/]+)\/jobs\/(.+)$/, addAssignment],
    [/^job\/execution\/.+$/, leaveOut('results of runs')],
    [/^conf\/global$/, leaveOut('the global configuration (ports, MySQL, Redis)')],
    [/^election\/master(?:\/.*)?$/, () => {}],
  ];

/** Reads all keys below PREFIX. Each is taken, counted as left out, or doubted by name. */
export function readPeppercron(entries: readonly EtcdEntry[]): PeppercronStore {
  const reading: Reading = {
    jobs: [],
    completed: new Set(),
    nodes: new Map(),
    assigned: [],
    counts: new Map(),
    doubts: [],
  };
  for (const entry of entries) {
    const key = entry.key.slice(PREFIX.length);
    const kind = KINDS.find(([form]) => form.test(key));
    if (kind === undefined) reading.doubts.push(`${entry.key}: is no key that peppercron writes`);
    else kind[1](reading, entry, kind[0].exec(key)?.slice(1) as string[]);
  }
  const { jobs, completed, nodes, counts, doubts } = reading;
  const leftOut = [...counts].map(([what, number]) => `${what}: ${plural(number, 'key')}`);
  return {
    jobs: jobs.sort((a, b) => compareNames(a.name, b.name)),
    completed,
    nodes,
    leftOut,
    doubts: [...doubts, ...strays(reading)],
  };
}

/** Numbers by their size, as the dashboard names its jobs, then words. */
function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function addJob({ jobs }: Reading, { key, value }: EtcdEntry, [name = '']: string[]): void {
  jobs.push(readJob(key, name, value));
}

function addState(reading: Reading, { key, value }: EtcdEntry, [job = '']: string[]): void {
  const state = mappingOf(value);
  if (state === undefined) reading.doubts.push(`${key}: its value is no JSON object`);
  else if (state.job_completed === true) reading.completed.add(job);
}

function addAlive({ nodes }: Reading, { value }: EtcdEntry, [node = '']: string[]): void {
  nodes.set(node, { isAlive: true, tags: value.toString().split(',') });
}

function addNode(reading: Reading, { key, value }: EtcdEntry, [node = '']: string[]): void {
  const { tags = '' } = mappingOf(value) ?? { tags: undefined };
  if (typeof tags !== 'string' || mappingOf(value) === undefined)
    reading.doubts.push(`${key}: is no {"tags": "a,b"}`);
  else if (!reading.nodes.has(node))
    reading.nodes.set(node, { isAlive: false, tags: tags.split(',') });
}

function addAssignment(reading: Reading, { key, value }: EtcdEntry, [node = '']: string[]): void {
  const copy = mappingOf(value);
  if (typeof copy?.name === 'string') reading.assigned.push({ node, job: copy.name, key, copy });
  else reading.doubts.push(`${key}: its value is no job`);
}

function leaveOut(what: string) {
  return ({ counts }: Reading): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** What a node's copy of a job has too, of which it may have an earlier version. */
const COPIED = ['schedule', 'timezone', 'executor_params'] as const;

/** Copies of jobs that nodes run although nobody manages them any more, or as they were once. */
function strays({ assigned, jobs }: Reading): string[] {
  const known = new Map(jobs.map(({ name, job }) => [name, job]));
  return assigned.flatMap(({ key, node, job: name, copy }) => {
    if (!known.has(name)) return [`${key}: ${node} runs '${name}', which is no job any more`];
    const job = known.get(name);
    const other = COPIED.filter(
      (field) => job && JSON.stringify(copy[field] ?? job[field]) !== JSON.stringify(job[field]),
    );
    if (other.length === 0) return [];
    return [`${key}: ${node} runs '${name}' with an earlier ${other.join(', ')}`];
  });
}
