import { common, type keeper, type scheduler, type storage } from '@malabar/contracts';
import { HEADER } from './fire-job.js';
import type { StorageClient } from './journal-store.js';

const LIMIT = 50;
const LIMIT_MAX = 1_000;
const PAGE = 500;
/** Jobs that one question looks through: queues of others hold more than runs. */
const LOOKED_MAX = 20_000;
const { READY, SCHEDULED, LEASED, DONE, DEAD, DISCARDED } = common.DeliveryState;
const STATES = [LEASED, READY, SCHEDULED, DONE, DEAD, DISCARDED] as const;

/** The runs of schedules, read from the queues that they went to: there is no second truth. */
export class RunHistory {
  constructor(
    private readonly storage: StorageClient,
    /** The topics of a queue. */
    private readonly topicsOf: (queue: string) => readonly string[],
  ) {}

  async list(
    config: keeper.ScheduleConfig,
    request: scheduler.ListRunsRequest,
  ): Promise<scheduler.ListRunsResponse> {
    const queue = config.job?.queue ?? '';
    const states = request.state === 0 ? STATES : [request.state];
    const runs: scheduler.ScheduledRun[] = [];
    let looked = 0;
    let cut = false;
    for (const topic of this.topicsOf(queue)) {
      for (const state of states) {
        let cursor = '';
        do {
          const place = { queue, topic, state, limit: PAGE, cursor, withBody: true };
          const page = await this.storage.listJobs(place);
          looked += page.deliveries.length;
          runs.push(...page.deliveries.flatMap((one) => runOf(one, request)));
          cursor = page.nextCursor;
          cut ||= cursor !== '' && looked >= LOOKED_MAX;
        } while (cursor !== '' && looked < LOOKED_MAX);
      }
    }
    runs.sort((a, b) => b.nominalMs - a.nominalMs || byText(a.run, b.run) || a.index - b.index);
    const limit = Math.min(request.limit || LIMIT, LIMIT_MAX);
    return { runs: await this.#detailed(runs.slice(0, limit)), cut };
  }

  /** With the latest attempt of each, which lists do not have. */
  #detailed(runs: scheduler.ScheduledRun[]): Promise<scheduler.ScheduledRun[]> {
    return Promise.all(
      runs.map(async (run) => {
        if (run.attempts === 0 && run.state !== DONE) return run;
        const { deliveries } = await this.storage.getJob({ jobId: run.jobId });
        const last = deliveries.find(({ topic }) => topic === run.topic)?.history.at(-1);
        if (last === undefined) return run;
        const { consumer, startedAtMs, durationMs } = last;
        return { ...run, consumer: run.consumer || consumer, startedAtMs, durationMs };
      }),
    );
  }
}

const byText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

/** The delivery as a run, if it is one of the schedule and the request wants it. */
function runOf(
  delivery: storage.Delivery,
  { schedule, fromMs, toMs, search }: scheduler.ListRunsRequest,
): scheduler.ScheduledRun[] {
  const { job, jobId, queue, topic, state, attempts, errorCode, error, acceptedAtMs } = delivery;
  const headers = job?.headers ?? {};
  if (headers[HEADER.schedule] !== schedule) return [];
  const nominalMs = Number(headers[HEADER.nominal]);
  if (nominalMs < fromMs || (toMs > 0 && nominalMs >= toMs)) return [];
  const skipped = headers[HEADER.skipped] ?? '';
  const run = headers[HEADER.run] ?? '';
  if (![run, skipped, errorCode, error].some((text) => text.includes(search))) return [];
  const lateMs = acceptedAtMs - nominalMs;
  const { consumer } = delivery;
  const known = { run, jobId, queue, topic, nominalMs, lateMs, state, skipped, attempts };
  const part = {
    node: headers[HEADER.node] ?? '',
    index: Number(headers[HEADER.index] ?? 0),
    total: Number(headers[HEADER.total] ?? 0),
    waits: delivery.nodeAway ? `waits for node ${delivery.node}, which is away` : '',
  };
  return [{ ...known, startedAtMs: 0, durationMs: 0, consumer, errorCode, error, ...part }];
}
