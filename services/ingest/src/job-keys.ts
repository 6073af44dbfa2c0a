import { common, type keeper, type storage } from '@malabar/contracts';

/** A place that a topic takes keys from. */
interface KeySource {
  /** As the topic's configuration says it. */
  from: string;
  keyOf(job: common.Job): string;
}

/** Looks up the keys of jobs for the topics of one queue, so that nobody behind ingest reads a body. */
export class JobKeys {
  constructor(private readonly sources: readonly KeySource[]) {}

  /** The keys that a job has, one for each source that it has one for. */
  of(job: common.Job): storage.JobKey[] {
    const keys: storage.JobKey[] = [];
    for (const { from, keyOf } of this.sources) {
      const key = keyOf(job);
      if (key !== '') keys.push({ from, key });
    }
    return keys;
  }

  /** The same of an encoded job. */
  ofMessage(message: Uint8Array): storage.JobKey[] {
    return this.of(common.Job.decode(message));
  }
}

/** For a queue; undefined if none of its topics cares for keys. */
export function jobKeysOf({ topics }: keeper.QueueConfig): JobKeys | undefined {
  const froms = new Set(topics.flatMap(({ key }) => (key === undefined ? [] : [key.from])));
  if (froms.size === 0) return undefined;
  return new JobKeys([...froms].map((from) => ({ from, keyOf: keyReader(from) })));
}

function keyReader(from: string): (job: common.Job) => string {
  if (from.startsWith('header:')) {
    const name = from.slice('header:'.length).toLowerCase();
    return ({ headers }) => headerOf(headers, name);
  }
  if (from.startsWith('$.')) {
    const path = from.slice(2).split('.');
    return ({ body }) => valueAt(body, path);
  }
  return ({ key }) => key;
}

function headerOf(headers: Readonly<Record<string, string>>, name: string): string {
  for (const [one, value] of Object.entries(headers)) if (one.toLowerCase() === name) return value;
  return '';
}

/** A text, number or truth in a JSON body as text; empty if the body is no JSON or has none there. */
function valueAt(body: Uint8Array, path: readonly string[]): string {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch {
    return '';
  }
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return '';
    value = (value as Record<string, unknown>)[name];
  }
  return typeof value === 'object' || value === undefined ? '' : String(value);
}
