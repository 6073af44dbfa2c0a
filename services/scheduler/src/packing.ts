import type { common } from '@malabar/contracts';
import { nominalAfter, type Schedule } from '@malabar/schedule';
import type { Outgoing } from './core/record.js';
import type { Arrival } from './core/runs.js';
import { jobOfSkip, jobsOfFire } from './fire-job.js';
import type { Schedules } from './leader.js';

const DAY_MS = 86_400_000;
const WINDOW_MS = 7 * DAY_MS;
/** Seconds make many keys, and what a leader leaves unsaid is never older than ten of them. */
const WINDOW_SHORT_MS = DAY_MS;
const OFTEN_MS = 60_000;
/** Bodies and headers of one push: together they must fit into a request, however many fire at once. */
const PUSH_BYTES_MAX = 4 * 1024 * 1024;

export type Pushed = Outgoing & { kind: 'fire' | 'skipped' };

/** A job on its way, and for which decision. */
export interface Parcel {
  outgoing: Pushed;
  job: common.Job;
}

/** What is known of the jobs of one decision. */
export interface Bundle {
  arrivals: Array<{ node: string } & Arrival>;
  lateMs: number;
  isNew: boolean;
}

/** Jobs for one queue. */
export interface ParcelBatch {
  queue: string;
  windowMs: number;
  isNew: boolean;
  parcels: Parcel[];
  bytes: number;
  /** Of all batches that are sent together: the jobs of one decision may be in several. */
  bundles: Map<Outgoing, Bundle>;
}

/** The jobs of decisions as pushes: by queue and window, each small enough for a request. */
export class Packing {
  readonly batches: ParcelBatch[] = [];
  /** Those that may still grow, by window and queue. */
  readonly #open = new Map<string, ParcelBatch>();
  readonly #bundles = new Map<Outgoing, Bundle>();

  constructor(private readonly isNew: boolean) {}

  add(outgoing: Pushed, { config, schedule }: NonNullable<ReturnType<Schedules['get']>>): void {
    const jobs =
      outgoing.kind === 'fire' ? jobsOfFire(outgoing, config) : [jobOfSkip(outgoing, config)];
    const queue = config.job?.queue ?? '';
    const windowMs = windowOf(schedule, outgoing.nominalMs);
    for (const job of jobs) {
      const bytes = bytesOf(job);
      const batch = this.#batchFor(queue, windowMs, bytes);
      batch.bytes += bytes;
      batch.parcels.push({ outgoing, job });
    }
  }

  #batchFor(queue: string, windowMs: number, bytes: number): ParcelBatch {
    const key = `${windowMs} ${queue}`;
    const known = this.#open.get(key);
    if (known !== undefined && known.bytes + bytes <= PUSH_BYTES_MAX) return known;
    const { isNew } = this;
    const batch = { queue, windowMs, isNew, parcels: [], bytes: 0, bundles: this.#bundles };
    this.batches.push(batch);
    this.#open.set(key, batch);
    return batch;
  }
}

/** How long a fire's key is to be known: longer than any outage after which it may be pushed again. */
function windowOf(schedule: Schedule, nominalMs: number): number {
  const next = nominalAfter(schedule, nominalMs);
  return next !== undefined && next - nominalMs < OFTEN_MS ? WINDOW_SHORT_MS : WINDOW_MS;
}

/** What a job takes of a request, more or less. */
function bytesOf({ body, headers }: common.Job): number {
  let bytes = body.length + 512;
  for (const [name, value] of Object.entries(headers)) bytes += name.length + value.length;
  return bytes;
}
