import { common, type storage } from '@malabar/contracts';
import { formatBody, formatSpan, formatTime, outcomeName, plural, stateName } from './format.js';
import type { Style, Terminal } from './terminal.js';

/** A job for --json: the body as text, or as base64 under another name if it is none. */
function jobJson(job: common.Job): Record<string, unknown> {
  const { body, ...rest } = job;
  try {
    return { ...rest, body: new TextDecoder('utf-8', { fatal: true }).decode(body) };
  } catch {
    return { ...rest, bodyBase64: Buffer.from(body).toString('base64') };
  }
}

/** A delivery for --json, with words for its states. */
export function deliveryJson(delivery: storage.Delivery): Record<string, unknown> {
  const { job, history, state, ...rest } = delivery;
  return {
    ...rest,
    state: stateName(state),
    history: history.map((attempt) => ({ ...attempt, outcome: outcomeName(attempt.outcome) })),
    ...(job ? { job: jobJson(job) } : {}),
  };
}

/** Prints one job and what became of it in every topic. */
export function printJob(
  terminal: Terminal,
  id: string,
  { queue, job, deliveries }: storage.GetJobResponse,
  json: boolean,
): void {
  if (json) {
    const all = deliveries.map(deliveryJson);
    terminal.line(JSON.stringify({ id, queue, job: job && jobJson(job), deliveries: all }));
    return;
  }
  const acceptedAtMs = deliveries[0]?.acceptedAtMs ?? 0;
  const fields = [
    ['job', id],
    ['queue', queue],
    ['accepted', formatTime(acceptedAtMs)],
    ...(job ? jobFields(job) : []),
  ];
  for (const [name = '', value = ''] of fields) {
    terminal.line(`${terminal.style('dim', name.padEnd(10))} ${value}`);
  }
  for (const delivery of deliveries) printDelivery(terminal, delivery);
}

function jobFields(job: common.Job): string[][] {
  const optional = [
    ['key', job.key],
    ['unique', job.idempotencyKey],
    ['debounce', job.debounceMs ? formatSpan(job.debounceMs) : ''],
    ['priority', job.priority ? String(job.priority) : ''],
    ['deliver at', job.deliverAtMs ? formatTime(job.deliverAtMs) : ''],
    ['expires at', job.expiresAtMs ? formatTime(job.expiresAtMs) : ''],
    ['type', job.contentType],
    ['node', job.node],
    ['trace', job.traceParent],
    ...Object.entries(job.headers).map(([name, value]) => ['header', `${name}: ${value}`]),
  ];
  return [...optional.filter(([, value]) => value !== ''), ['body', formatBody(job.body)]];
}

const STYLES: Partial<Record<common.DeliveryState, Style>> = {
  [common.DeliveryState.DONE]: 'green',
  [common.DeliveryState.DEAD]: 'red',
  [common.DeliveryState.SCHEDULED]: 'yellow',
};

function printDelivery(terminal: Terminal, delivery: storage.Delivery): void {
  const state = terminal.style(STYLES[delivery.state] ?? 'bold', stateName(delivery.state));
  terminal.line();
  terminal.line(
    `${terminal.style('bold', `${delivery.queue}/${delivery.topic}`)}  ${state}${detail(delivery)}`,
  );
  if (delivery.state === common.DeliveryState.DISCARDED)
    terminal.line(`  ${[delivery.errorCode, delivery.error].filter(Boolean).join(': ')}`);
  for (const attempt of delivery.history) {
    const at = `${formatTime(attempt.startedAtMs)}, ${formatSpan(attempt.durationMs)}`;
    const by = attempt.consumer ? `, by ${attempt.consumer}` : '';
    terminal.line(`  attempt ${attempt.number}  ${outcomeName(attempt.outcome)}  (${at}${by})`);
    const words = [attempt.errorCode, attempt.error].filter(Boolean).join(': ');
    for (const line of words.split('\n')) terminal.line(`    ${line}`);
  }
}

function detail(delivery: storage.Delivery): string {
  const parts: string[] = [];
  if (delivery.attempts > 0) parts.push(plural(delivery.attempts, 'attempt'));
  if (delivery.crashes > 0) parts.push(plural(delivery.crashes, 'crash', 'crashes'));
  if (delivery.replays > 0) parts.push(`replayed ${times(delivery.replays)}`);
  if (delivery.quarantined) parts.push('quarantined');
  if (delivery.state === common.DeliveryState.SCHEDULED)
    parts.push(`due ${formatTime(delivery.dueAtMs)}`);
  if (delivery.state === common.DeliveryState.LEASED) parts.push(`leased by ${delivery.consumer}`);
  if (delivery.nodeAway) parts.push(`waits for node ${delivery.node}, which is away`);
  return parts.length > 0 ? `  (${parts.join(', ')})` : '';
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
