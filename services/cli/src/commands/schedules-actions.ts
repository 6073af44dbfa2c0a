import type { Command } from 'commander';
import {
  type ClientOptions,
  clientCommand,
  countOption,
  durationOption,
  withBus,
} from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { applyEdit, type EditOptions } from '../config/edit.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { plural } from '../format.js';
import { documentEdit, readDocument } from '../schedules/document.js';

export function triggerCommand(context: CommandContext): Command {
  return clientCommand('trigger')
    .description('fire now, beside the timetable; also a schedule that is paused')
    .argument('<schedule>', 'its name')
    .addHelpText('after', '\nExamples:\n  malabar schedules trigger nightly-report')
    .action((schedule: string, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        await bus.client('scheduler').trigger({ schedule, request: '' }, { timeoutMs });
        done(context, options, { schedule }, `${schedule} is triggered`);
      }),
    );
}

interface BackfillOptions extends ClientOptions {
  from: string;
  to: string;
  concurrency: string;
}

export function backfillCommand(context: CommandContext): Command {
  return clientCommand('backfill')
    .description('run every time of the past again that lies in a range')
    .argument('<schedule>', 'its name')
    .requiredOption('--from <date>', 'the first time, e.g. 2026-08-01T00:00:00Z')
    .requiredOption('--to <date>', 'the times end before this one')
    .option('--concurrency <n>', 'runs at once', '1')
    .addHelpText(
      'after',
      `
A date without Z or an offset is one of this machine's clocks.

Examples:
  malabar schedules backfill nightly-report --from 2026-08-01 --to 2026-08-08 --concurrency 2`,
    )
    .action((schedule: string, options: BackfillOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const request = {
          schedule,
          fromMs: dateOption('--from', options.from),
          toMs: dateOption('--to', options.to),
          concurrency: countOption('--concurrency', options.concurrency, 1, 100),
          request: '',
        };
        const { fires } = await bus.client('scheduler').backfill(request, { timeoutMs });
        done(context, options, { schedule, fires }, `${schedule}: ${plural(fires, 'run')} to come`);
      }),
    );
}

export function pauseCommand(context: CommandContext): Command {
  return clientCommand('pause')
    .description('fire no more until it is resumed: publishes its document with `paused`')
    .argument('<schedule>', 'its name')
    .requiredOption('-m, --note <text>', 'why')
    .addHelpText(
      'after',
      `
What malabar.yaml says of the schedule comes back when the file is saved.

Examples:
  malabar schedules pause nightly-report -m 'the database moves'`,
    )
    .action(async (schedule: string, options: EditOptions & { note: string }) => {
      const document = await withConfig(options, context, (access) =>
        readDocument(access, schedule),
      );
      const edit = documentEdit(schedule, { ...document, paused: options.note });
      await applyEdit(context, { ...options, publish: true }, edit);
    });
}

export function resumeCommand(context: CommandContext): Command {
  return clientCommand('resume')
    .description('fire again, from now on')
    .argument('<schedule>', 'its name')
    .option('-m, --note <text>', 'why; kept with the release', '')
    .addHelpText('after', '\nExamples:\n  malabar schedules resume nightly-report')
    .action(async (schedule: string, options: EditOptions) => {
      const document = await withConfig(options, context, (access) =>
        readDocument(access, schedule),
      );
      const { paused, enabled, ...rest } = document;
      if (paused !== undefined || enabled === false)
        return applyEdit(context, { ...options, publish: true }, documentEdit(schedule, rest));
      await withBus(options, context, async (bus, timeoutMs) => {
        await bus.client('scheduler').resume({ schedule }, { timeoutMs });
        done(context, options, { schedule }, `${schedule} goes on`);
      });
    });
}

interface TestOptions extends ClientOptions {
  limit: string;
}

export function testCommand(context: CommandContext): Command {
  return clientCommand('test')
    .description('run its command once, in a queue of its own: the schedule does not notice')
    .argument('<schedule>', 'its name')
    .option('--limit <duration>', 'end it after this time', '5m')
    .addHelpText(
      'after',
      `
Prints the id of its job; \`malabar runs watch\` shows the output.

Examples:
  malabar runs watch $(malabar schedules test nightly-report --limit 30s)`,
    )
    .action((schedule: string, options: TestOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const limitMs = durationOption('--limit', options.limit);
        const request = { schedule, timeoutMs: limitMs };
        const run = await bus.client('scheduler').testRun(request, { timeoutMs });
        done(context, options, run, run.jobId);
      }),
    );
}

function done(
  { terminal }: CommandContext,
  { json }: ClientOptions,
  answer: object,
  line: string,
): void {
  terminal.line(json ? JSON.stringify(answer) : line);
}

/** A date in Unix milliseconds; the error names the option. */
export function dateOption(option: string, text: string): number {
  const at = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00` : text).getTime();
  if (!Number.isNaN(at) && /^\d{4}-/.test(text)) return at;
  throw new CommandError(EXIT.usage, `${option}: '${text}' is no date, e.g. 2026-08-01T09:30:00Z`);
}
