import { existsSync } from 'node:fs';
import { verifyStore } from '@malabar/storage/module';
import { createLogger } from '@malabar/telemetry';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { plural } from '../format.js';
import { createProgress, type Progress } from '../progress.js';

interface VerifyOptions extends ClientOptions {
  data?: string;
  queue?: string;
}

interface Verdict {
  jobs: number;
  deliveries: number;
  problems: string[];
}

const EXAMPLES = `
Examples:
  malabar verify                       ask the running bus
  malabar verify --data ./data/store   read the files of a stopped one`;

export function verifyCommand(context: CommandContext): Command {
  return clientCommand('verify')
    .description(
      'read everything and check the invariants of the store; exit code 1 if one is broken',
    )
    .option('--queue <queue>', 'only this queue of a running bus')
    .option('--data <dir>', 'folder of a store that is not running')
    .addHelpText('after', EXAMPLES)
    .action((options: VerifyOptions) => verify(context, options));
}

async function verify(context: CommandContext, options: VerifyOptions): Promise<void> {
  const { terminal, clock } = context;
  const progress = createProgress(terminal, clock, 'jobs checked');
  let verdict: Verdict;
  try {
    verdict = await (options.data === undefined
      ? verifyOnline(context, options, progress)
      : verifyOffline(options.data, progress));
  } finally {
    progress.finish();
  }
  const { jobs, deliveries, problems } = verdict;
  if (options.json) terminal.line(JSON.stringify({ jobs, deliveries, problems }));
  else {
    for (const problem of problems) terminal.line(`${terminal.style('red', 'broken')}  ${problem}`);
    const found =
      problems.length === 0 ? terminal.style('green', 'clean') : plural(problems.length, 'problem');
    terminal.line(
      `${plural(jobs, 'job')}, ${plural(deliveries, 'delivery', 'deliveries')}: ${found}`,
    );
  }
  if (problems.length > 0) context.exitCode = EXIT.failure;
}

function verifyOffline(path: string, progress: Progress): Promise<Verdict> {
  if (!existsSync(path)) {
    throw new CommandError(
      EXIT.notFound,
      `no store at ${path}`,
      'name its folder, e.g. ./data/store',
    );
  }
  return verifyStore({
    path,
    log: createLogger({ level: 'silent' }),
    onProgress: ({ jobs }) => progress.update(jobs, 0),
  });
}

function verifyOnline(
  context: CommandContext,
  options: VerifyOptions,
  progress: Progress,
): Promise<Verdict> {
  return withBus(options, context, async (bus) => {
    const verdict: Verdict = { jobs: 0, deliveries: 0, problems: [] };
    const steps = bus.client('storage').verify({ queue: options.queue ?? '' });
    for await (const { jobs, deliveries, problems } of steps) {
      verdict.jobs = jobs;
      verdict.deliveries = deliveries;
      verdict.problems.push(...problems);
      progress.update(jobs, 0);
    }
    return verdict;
  });
}
