/** Of peppercron's executors only this one exists. */
export const SHELL = 0;

export const BY_SCHEDULE = 0;
export const BY_TIMES = 1;

/** A job as peppercron's dispatcher reads it; what its JSON leaves out is the zero of its kind. */
export interface PeppercronJob {
  name: string;
  /** By schedule or by times. */
  type: number;
  /** 0 or less is for ever. */
  times: number;
  /** Nanoseconds from the end of a run to the next one. */
  times_delay: number;
  schedule: string;
  /** IANA name; empty is the zone of the machine. */
  timezone: string;
  executor_blocking: boolean;
  executor_type: number;
  /** Program and arguments. */
  executor_params: string[];
  /** Nanoseconds; 0 is an hour. */
  executor_timeout: number;
  /** `NAME=value` each. */
  environment_variables: string[];
  extras: Record<string, string>;
  tag: string;
  retries: number;
  /** Its parents, whatever the word says. */
  dependent_jobs: string[];
  /** How many nodes run it at every tick. */
  concurrency: number;
  status: string;
  /** What the dispatcher notes for its agents. */
  dispatch_id: string;
  base_group_id: number;
}

/** A value below peppercron's jobs. */
export interface ReadJob {
  /** Its key in etcd. */
  key: string;
  /** What the key calls it. */
  name: string;
  /** Undefined if there is a fault. */
  job?: PeppercronJob;
  faults: string[];
  warnings: string[];
}

type Kind = 'text' | 'number' | 'yes or no' | 'list of text' | 'mapping of text';

const FIELDS: Record<keyof PeppercronJob, Kind> = {
  name: 'text',
  type: 'number',
  times: 'number',
  times_delay: 'number',
  schedule: 'text',
  timezone: 'text',
  executor_blocking: 'yes or no',
  executor_type: 'number',
  executor_params: 'list of text',
  executor_timeout: 'number',
  environment_variables: 'list of text',
  extras: 'mapping of text',
  tag: 'text',
  retries: 'number',
  dependent_jobs: 'list of text',
  concurrency: 'number',
  status: 'text',
  dispatch_id: 'text',
  base_group_id: 'number',
};

/**
 * Reads the value of a job as peppercron does: field names in any case, null as the zero, a field of
 * another kind spoils the whole job. What peppercron would pass over is a warning here.
 */
export function readJob(key: string, name: string, value: Buffer): ReadJob {
  const read: ReadJob = { key, name, faults: [], warnings: [] };
  const fields = mappingOf(value);
  if (fields === undefined) return { ...read, faults: ['its value is no JSON object'] };
  const job: Record<string, unknown> = Object.fromEntries(
    Object.entries(FIELDS).map(([field, kind]) => [field, zeroOf(kind)]),
  );
  for (const [field, given] of Object.entries(fields)) {
    const known = field.toLowerCase() as keyof PeppercronJob;
    const kind = Object.hasOwn(FIELDS, known) ? FIELDS[known] : undefined;
    if (kind === undefined) read.warnings.push(`${field} is no field that peppercron knows`);
    else if (given === null) continue;
    else if (isA(kind, given)) job[known] = given;
    else read.faults.push(`${field} is no ${kind}, so peppercron does not read the job`);
  }
  if (read.faults.length === 0 && job.name !== name)
    read.faults.push(`its value calls it '${job.name}', its key '${name}'`);
  return read.faults.length > 0 ? read : { ...read, job: job as unknown as PeppercronJob };
}

/** The object that a value is; undefined if it is none. */
export function mappingOf(value: Buffer): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(value.toString());
    const isMapping = typeof json === 'object' && json !== null && !Array.isArray(json);
    return isMapping ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function zeroOf(kind: Kind): unknown {
  const zeros: Record<Kind, unknown> = {
    text: '',
    number: 0,
    'yes or no': false,
    'list of text': [],
    'mapping of text': {},
  };
  return zeros[kind];
}

const isText = (value: unknown): boolean => typeof value === 'string';

function isA(kind: Kind, value: unknown): boolean {
  if (kind === 'text') return isText(value);
  if (kind === 'number') return Number.isInteger(value);
  if (kind === 'yes or no') return typeof value === 'boolean';
  if (kind === 'list of text') return Array.isArray(value) && value.every(isText);
  return (
    typeof value === 'object' && !Array.isArray(value) && Object.values(value ?? {}).every(isText)
  );
}
