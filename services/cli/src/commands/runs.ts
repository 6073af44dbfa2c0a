import type { dispatcher } from '@malabar/contracts';
import { Command } from 'commander';
import type { Bus } from '../bus.js';
import { type ClientOptions, clientCommand, topicOption, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { askDispatchers, type DispatcherClient } from '../dispatchers.js';
import { CommandError, EXIT } from '../exit.js';
import { firstLine, formatBytes, formatCount, formatSpan, formatTime } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

interface RunOptions extends ClientOptions {
  topic?: string;
}

interface KillOptions extends RunOptions {
  message: string;
}

/** `malabar runs`: the commands that dispatchers run. */
export function runsCommand(context: CommandContext): Command {
  return new Command('runs')
    .description('list the commands that run, watch the output of one, or end it')
    .addCommand(listCommand(context), { isDefault: true })
    .addCommand(watchCommand(context))
    .addCommand(killCommand(context))
    .addHelpText(
      'after',
      `
Examples:
  malabar runs
  malabar runs watch 0198f0a2-6b1c-7000-8000-00000000002a
  malabar runs kill 0198f0a2-6b1c-7000-8000-00000000002a -m 'wrong day'`,
    );
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list the commands that run on all dispatchers, and those that ended last')
    .addHelpText('after', '\nExamples:\n  malabar runs list --json')
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { runs, silent } = await listRuns(bus, timeoutMs);
        const all = runs.map(({ run }) => run);
        const { terminal, clock } = context;
        if (options.json) terminal.line(JSON.stringify({ runs: all, silent }));
        else printRuns(terminal, all, clock.now());
        if (!options.json) for (const line of silent) terminal.note(line);
      }),
    );
}

function printRuns(terminal: Terminal, runs: readonly dispatcher.Run[], now: number): void {
  if (runs.length === 0) {
    terminal.line('No command runs, and none has ended lately.');
    return;
  }
  const columns = [
    { title: 'JOB' },
    { title: 'TOPIC' },
    { title: 'TRY', right: true },
    { title: 'NODE' },
    { title: 'PID', right: true },
    { title: 'SINCE' },
    { title: 'TOOK', right: true },
    { title: 'OUTPUT', right: true },
    { title: 'STATE' },
    { title: 'COMMAND' },
  ];
  printTable(
    terminal,
    columns,
    runs.map((run) => runRow(terminal, run, now)),
  );
}

function runRow(terminal: Terminal, run: dispatcher.Run, now: number): string[] {
  const { jobId, queue, topic, attempt, node, pid, startedAtMs, endedAtMs, outputBytes } = run;
  const state = run.ending || 'runs';
  return [
    jobId,
    `${queue}/${topic}`,
    String(attempt),
    node,
    pid === 0 ? '-' : String(pid),
    formatTime(startedAtMs),
    formatSpan((endedAtMs || now) - startedAtMs),
    formatBytes(outputBytes),
    endedAtMs === 0 ? terminal.style('green', state) : state,
    firstLine(run.argv.join(' '), 60),
  ];
}

function watchCommand(context: CommandContext): Command {
  return runCommand('watch')
    .description(
      'show the output of a command: what is kept so far, then what comes, until it ends',
    )
    .addHelpText(
      'after',
      `
Output goes to stdout as it is, everything else to stderr. Ctrl-C stops to watch, not the command.

Examples:
  malabar runs watch 0198f0a2-6b1c-7000-8000-00000000002a
  malabar runs watch 0198f0a2-6b1c-7000-8000-00000000002a --topic reports/build`,
    )
    .action((jobId: string, options: RunOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { run, client } = await find(bus, { jobId, options, timeoutMs });
        await watch(context, client, { run, asJson: options.json === true });
      }),
    );
}

async function watch(
  { terminal, untilStopped }: CommandContext,
  client: DispatcherClient,
  { run: { queue, topic, jobId }, asJson }: { run: dispatcher.Run; asJson: boolean },
): Promise<void> {
  const leaving = new AbortController();
  void untilStopped().then(() => leaving.abort());
  const pieces = client.watchRun({ queue, topic, jobId }, { signal: leaving.signal });
  try {
    for await (const { leftOut, output, ended } of pieces) {
      if (asJson) {
        terminal.line(JSON.stringify({ leftOut, output: Buffer.from(output).toString(), ended }));
        continue;
      }
      if (leftOut > 0) terminal.note(`[... ${formatCount(leftOut)} bytes are left out here ...]`);
      terminal.write(output);
      if (ended) terminal.note(`${ended.ending}, after ${span(ended)}`);
    }
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
  }
}

const span = ({ startedAtMs, endedAtMs }: dispatcher.Run): string =>
  formatSpan(endedAtMs - startedAtMs);

function killCommand(context: CommandContext): Command {
  return runCommand('kill')
    .description('end a command: SIGTERM, after its grace SIGKILL; its delivery is dead then')
    .option('-m, --message <text>', 'why, for the others', '')
    .addHelpText(
      'after',
      `
What it is given up for can be tried again with \`malabar jobs replay\`.

Examples:
  malabar runs kill 0198f0a2-6b1c-7000-8000-00000000002a -m 'wrong day'`,
    )
    .action((jobId: string, options: KillOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const found = await find(bus, { jobId, options, timeoutMs });
        const { queue, topic } = found.run;
        const request = { queue, topic, jobId, reason: options.message };
        const { run } = await found.client.killRun(request, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ run }));
        else context.terminal.line(`${queue}/${topic} on ${found.run.node} ${run?.ending}`);
      }),
    );
}

function runCommand(name: string): Command {
  return clientCommand(name)
    .argument('<job id>', 'id of its job')
    .option('--topic <queue/topic>', 'which one, where several topics of the job run a command');
}

interface Found {
  run: dispatcher.Run;
  client: DispatcherClient;
}

interface Wanted {
  jobId: string;
  options: RunOptions;
  timeoutMs: number;
}

/** The latest run of a job. */
async function find(bus: Bus, { jobId, options, timeoutMs }: Wanted): Promise<Found> {
  const { runs, silent } = await listRuns(bus, timeoutMs);
  const wanted = options.topic === undefined ? undefined : topicOption(options.topic);
  const found = runs.filter(({ run }) => {
    const { queue = run.queue, topic = run.topic } = wanted ?? {};
    return run.jobId === jobId && run.queue === queue && run.topic === topic;
  });
  const [first] = found;
  if (first === undefined) {
    throw new CommandError(
      EXIT.notFound,
      [`job ${jobId} runs nowhere as a command`, ...silent].join('; '),
      '`malabar runs` lists what runs',
    );
  }
  const paths = [...new Set(found.map(({ run }) => `${run.queue}/${run.topic}`))];
  if (paths.length === 1) return first;
  throw new CommandError(
    EXIT.usage,
    `job ${jobId} is run for ${paths.join(' and ')}`,
    'name one of them with --topic',
  );
}

/** What runs, oldest first, and then what has ended, latest first. */
async function listRuns(bus: Bus, timeoutMs: number): Promise<{ runs: Found[]; silent: string[] }> {
  const { answers, silent } = await askDispatchers(bus, (client) =>
    client.listRuns({}, { timeoutMs }),
  );
  const runs = answers.flatMap(({ client, answer }) => answer.runs.map((run) => ({ run, client })));
  const running = runs.filter(({ run }) => run.endedAtMs === 0);
  const ended = runs.filter(({ run }) => run.endedAtMs > 0);
  return {
    runs: [
      ...running.sort((a, b) => a.run.startedAtMs - b.run.startedAtMs),
      ...ended.sort((a, b) => b.run.endedAtMs - a.run.endedAtMs),
    ],
    silent,
  };
}
