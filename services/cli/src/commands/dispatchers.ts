import type { dispatcher } from '@malabar/contracts';
import { Command } from 'commander';
import type { Bus } from '../bus.js';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { type Answer, askDispatchers } from '../dispatchers.js';
import { CommandError, EXIT } from '../exit.js';
import { formatCount, plural } from '../format.js';
import { printTable } from '../table.js';

type Listed = dispatcher.ListTargetsResponse;

interface DrainOptions extends ClientOptions {
  message: string;
}

/** `malabar dispatchers`: who delivers, and taking one out without ending what it runs. */
export function dispatchersCommand(context: CommandContext): Command {
  return new Command('dispatchers')
    .description('list the dispatchers, and move work away from one of them')
    .addCommand(listCommand(context), { isDefault: true })
    .addCommand(drainCommand(context))
    .addCommand(resumeCommand(context))
    .addHelpText(
      'after',
      `
Examples:
  malabar dispatchers
  malabar dispatchers drain web-1 -m 'new disk'
  malabar dispatchers resume web-1`,
    );
}

function listCommand(context: CommandContext): Command {
  return clientCommand('list')
    .description('list the dispatchers with their tags and what they run')
    .addHelpText('after', '\nExamples:\n  malabar dispatchers list --json')
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { answers, silent } = await listTargets(bus, timeoutMs);
        const { terminal } = context;
        if (options.json) {
          const dispatchers = answers.map(({ answer }) => answer);
          terminal.line(JSON.stringify({ dispatchers, silent }));
          return;
        }
        const columns = [
          { title: 'NODE' },
          { title: 'TAGS' },
          { title: 'TOPICS', right: true },
          { title: 'RUNNING', right: true },
          { title: 'STATE' },
        ];
        printTable(terminal, columns, answers.map(dispatcherRow));
        for (const line of silent) terminal.note(line);
      }),
    );
}

function dispatcherRow({ answer: { node, tags, targets, drained } }: Answer<Listed>): string[] {
  const running = targets.reduce((sum, target) => sum + target.running, 0);
  const served = targets.filter(({ lacks }) => lacks === '').length;
  return [
    node,
    tags.join(' ') || '-',
    formatCount(served),
    formatCount(running),
    drained || 'takes deliveries',
  ];
}

function drainCommand(context: CommandContext): Command {
  return clientCommand('drain')
    .description('let a dispatcher take no more deliveries; what it runs goes on to its end')
    .argument('<node>', 'its node')
    .option('-m, --message <text>', 'why, for the others', '')
    .addHelpText(
      'after',
      `
Until \`resume\` or its next start. Other dispatchers take over what it would have got.

Examples:
  malabar dispatchers drain web-1 -m 'new disk'`,
    )
    .action((node: string, options: DrainOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { client } = await find(bus, node, timeoutMs);
        const { running } = await client.drain({ reason: options.message }, { timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ node, running }));
        else if (running === 0) terminal.line(`${node} is drained and runs nothing`);
        else
          terminal.line(
            `${node} is drained; running on: ${plural(running, 'delivery', 'deliveries')}`,
          );
      }),
    );
}

function resumeCommand(context: CommandContext): Command {
  return clientCommand('resume')
    .description('let a dispatcher that was drained take deliveries again')
    .argument('<node>', 'its node')
    .addHelpText('after', '\nExamples:\n  malabar dispatchers resume web-1')
    .action((node: string, options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { client } = await find(bus, node, timeoutMs);
        await client.resume({}, { timeoutMs });
        if (options.json) context.terminal.line(JSON.stringify({ node }));
        else context.terminal.line(`${node} takes deliveries`);
      }),
    );
}

const listTargets = (bus: Bus, timeoutMs: number) =>
  askDispatchers(bus, (client) => client.listTargets({ queue: '' }, { timeoutMs }));

async function find(bus: Bus, node: string, timeoutMs: number): Promise<Answer<Listed>> {
  const { answers, silent } = await listTargets(bus, timeoutMs);
  const found = answers.find(({ answer }) => answer.node === node);
  if (found !== undefined) return found;
  throw new CommandError(
    EXIT.notFound,
    [`there is no dispatcher '${node}'`, ...silent].join('; '),
    '`malabar dispatchers` lists those there are',
  );
}
