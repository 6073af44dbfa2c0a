import { common, type scheduler } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { firstLine, formatSpan, formatTime, stateName } from '../format.js';
import { printTable } from '../table.js';
import { dateOption } from './schedules-actions.js';

interface RunsOptions extends ClientOptions {
  state?: string;
  from?: string;
  to?: string;
  search: string;
  limit: string;
}

const STATES = ['ready', 'scheduled', 'leased', 'done', 'dead', 'discarded'];

/** `malabar schedules runs`: those that ran and those that did not. */
export function scheduleRunsCommand(context: CommandContext): Command {
  return clientCommand('runs')
    .description('list the runs of a schedule, also those that did not happen')
    .argument('<schedule>', 'its name')
    .option('--state <state>', `only runs that are ${STATES.join(', ')}`)
    .option('--from <date>', 'only times from this one on')
    .option('--to <date>', 'only times before this one')
    .option('--search <text>', 'only runs whose error or reason holds this text', '')
    .option('--limit <n>', 'how many', '50')
    .addHelpText(
      'after',
      `
Examples:
  malabar schedules runs nightly-report
  malabar schedules runs nightly-report --state dead --search 'out of memory'
  malabar schedules runs nightly-report --from 2026-08-01 --json`,
    )
    .action((schedule: string, options: RunsOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const request = requestOf(schedule, options);
        const answer = await bus.client('scheduler').listRuns(request, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify(answer));
        else printRuns(context, answer);
      }),
    );
}

function requestOf(schedule: string, options: RunsOptions): scheduler.ListRunsRequest {
  const { state, from, to, search, limit } = options;
  return {
    schedule,
    state: state === undefined ? common.DeliveryState.UNSPECIFIED : stateOption(state),
    fromMs: from === undefined ? 0 : dateOption('--from', from),
    toMs: to === undefined ? 0 : dateOption('--to', to),
    search,
    limit: countOption('--limit', limit, 1, 1_000),
  };
}

function stateOption(text: string): common.DeliveryState {
  if (STATES.includes(text))
    return common.DeliveryState[text.toUpperCase() as keyof typeof common.DeliveryState];
  throw new CommandError(EXIT.usage, `--state: '${text}' is not one of ${STATES.join(', ')}`);
}

function printRuns({ terminal }: CommandContext, { runs, cut }: scheduler.ListRunsResponse): void {
  if (runs.length === 0) terminal.line('No such run is kept.');
  else {
    const columns = [
      { title: 'TIME' },
      { title: 'LATE', right: true },
      { title: 'STATE' },
      { title: 'TRIES', right: true },
      { title: 'TOOK', right: true },
      { title: 'BY' },
      ...(runs.some(hasParts) ? [{ title: 'PART', right: true }] : []),
      { title: 'JOB' },
      { title: 'NOTE' },
    ];
    const rows = runs.map((run) => runRow(run, runs.some(hasParts)));
    printTable(terminal, columns, rows);
  }
  if (cut) terminal.note('Not all jobs of the queue were looked through; ask for a smaller range.');
}

/** A part of a run on many nodes. */
const hasParts = ({ total }: scheduler.ScheduledRun): boolean => total > 0;

function runRow(run: scheduler.ScheduledRun, withPart: boolean): string[] {
  const { nominalMs, lateMs, state, skipped, attempts, durationMs, startedAtMs } = run;
  return [
    formatTime(nominalMs),
    skipped === '' ? formatSpan(lateMs) : '-',
    skipped === '' ? stateName(state) : 'did not run',
    String(attempts),
    startedAtMs === 0 ? '-' : formatSpan(durationMs),
    run.consumer || run.node || '-',
    ...(withPart ? [hasParts(run) ? `${run.index + 1} of ${run.total}` : '-'] : []),
    run.jobId,
    skipped || run.waits || firstLine(run.error, 60),
  ];
}
