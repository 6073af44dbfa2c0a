import type { scheduler } from '@malabar/contracts';
import { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { firstLine, formatCount, formatSpan, formatTime } from '../format.js';
import { familyLines } from '../schedules/family.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';
import {
  backfillCommand,
  pauseCommand,
  resumeCommand,
  testCommand,
  triggerCommand,
} from './schedules-actions.js';
import { scheduleRunsCommand } from './schedules-runs.js';

const EXAMPLES = `
Schedules are documents, in malabar.yaml or in the keeper's domain malabar; docs/schedules.md tells the
whole story.

Examples:
  malabar schedules
  malabar schedules next nightly-report --count 10
  malabar schedules test nightly-report --timeout 1m
  malabar schedules pause nightly-report -m 'the database moves'
  malabar schedules runs nightly-report --state dead`;

/** `malabar schedules`: what is due when, what became of it, and what a person can do about it. */
export function schedulesCommand(context: CommandContext): Command {
  return new Command('schedules')
    .description('list schedules with their next fires; try, fire, pause and look back')
    .addCommand(listCommand(context), { isDefault: true })
    .addCommand(showCommand(context))
    .addCommand(nextCommand(context))
    .addCommand(treeCommand(context))
    .addCommand(scheduleRunsCommand(context))
    .addCommand(testCommand(context))
    .addCommand(triggerCommand(context))
    .addCommand(backfillCommand(context))
    .addCommand(pauseCommand(context))
    .addCommand(resumeCommand(context))
    .addHelpText('after', EXAMPLES);
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list all schedules')
    .addHelpText('after', '\nExamples:\n  malabar schedules list --json')
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const answer = await bus.client('scheduler').listSchedules({ schedule: '' }, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify(answer));
        else printSchedules(context.terminal, answer);
      }),
    );
}

function printSchedules(
  terminal: Terminal,
  { schedules, leader }: scheduler.ListSchedulesResponse,
): void {
  if (schedules.length === 0) {
    terminal.line('No schedule is configured. Name one under `schedules:` in malabar.yaml.');
    return;
  }
  const columns = [
    { title: 'SCHEDULE' },
    { title: 'WHEN' },
    { title: 'NEXT' },
    { title: 'LAST' },
    { title: 'LATE', right: true },
    { title: 'RUNNING', right: true },
    { title: 'FIRED', right: true },
    { title: 'NOTE' },
  ];
  printTable(terminal, columns, schedules.map(scheduleRow));
  if (leader === '') terminal.note('No scheduler leads: nothing is fired until one does.');
}

function scheduleRow(status: scheduler.ScheduleStatus): string[] {
  const { name, when, nextMs, lastNominalMs, lastLateMs, running, fired } = status;
  return [
    name,
    firstLine(when, 48),
    formatTime(nextMs[0] ?? 0),
    formatTime(lastNominalMs),
    lastNominalMs === 0 ? '-' : formatSpan(lastLateMs),
    formatCount(running),
    formatCount(fired),
    noteOf(status),
  ];
}

function noteOf({ paused, waiting, failures, backfills }: scheduler.ScheduleStatus): string {
  const notes = [
    paused && `paused: ${paused}`,
    waiting > 0 && `${formatCount(waiting)} waiting`,
    failures > 0 && `${formatCount(failures)} failed in a row`,
    backfills > 0 && 'backfill goes on',
  ];
  return notes.filter(Boolean).join(', ');
}

function showCommand(context: CommandContext): Command {
  return clientCommand('show')
    .description('show a schedule: its document, its state, its next five fires')
    .argument('<schedule>', 'its name')
    .addHelpText('after', '\nExamples:\n  malabar schedules show nightly-report')
    .action((schedule: string, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const found = await bus.client('scheduler').getSchedule({ schedule }, { timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify(found, bytesAsText));
        else printSchedule(terminal, found);
      }),
    );
}

function printSchedule(
  terminal: Terminal,
  { status, family }: scheduler.GetScheduleResponse,
): void {
  if (status === undefined) return;
  const note = noteOf(status);
  const { name, when, owner, system, queue, nextMs } = status;
  const rows = [
    ['when', when],
    ['owner', [owner, system].filter(Boolean).join(', system ') || '-'],
    ['queue', queue],
    ['state', note || 'ok'],
    ['fired', formatCount(status.fired)],
    ['last', formatTime(status.lastNominalMs)],
    ...nextMs.map((at, index) => [index === 0 ? 'next' : '', formatTime(at)]),
  ];
  printTable(terminal, [{ title: name }, { title: '' }], rows);
  if (family.length > 1) for (const line of familyLines(family)) terminal.line(line);
}

function nextCommand(context: CommandContext): Command {
  return clientCommand('next')
    .description('when a schedule fires next')
    .argument('<schedule>', 'its name')
    .option('--count <n>', 'how many times', '5')
    .addHelpText('after', '\nExamples:\n  malabar schedules next nightly-report --count 10')
    .action((schedule: string, options: ClientOptions & { count: string }) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const count = countOption('--count', options.count, 1, 1_000);
        const { nextMs } = await bus
          .client('scheduler')
          .listFires({ schedule, count }, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ nextMs }));
        else if (nextMs.length === 0) context.terminal.line('nothing is due any more');
        else for (const at of nextMs) context.terminal.line(formatTime(at));
      }),
    );
}

function treeCommand(context: CommandContext): Command {
  return clientCommand('tree')
    .description('what follows what: the whole family of a schedule')
    .argument('<schedule>', 'its name')
    .addHelpText('after', '\nExamples:\n  malabar schedules tree nightly-report')
    .action((schedule: string, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { family } = await bus.client('scheduler').getSchedule({ schedule }, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ family }));
        else for (const line of familyLines(family)) context.terminal.line(line);
      }),
    );
}

function bytesAsText(key: string, value: unknown): unknown {
  const bytes = value as { type?: string; data?: number[] } | null;
  const isBody = key === 'body' && bytes?.type === 'Buffer';
  return isBody ? Buffer.from(bytes.data ?? []).toString() : value;
}
