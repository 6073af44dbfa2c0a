import type { sources } from '@malabar/contracts';
import type { Command } from 'commander';
import { askAll } from '../ask-all.js';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { formatCount } from '../format.js';
import { printTable } from '../table.js';

const EXAMPLES = `
A line for each ingest: all of them consume, and share the messages.

Examples:
  malabar sources
  malabar sources --json`;

/** `malabar sources`: where jobs come from by themselves, and whether they do. */
export function sourcesCommand(context: CommandContext): Command {
  return clientCommand('sources')
    .description('list the sources (RabbitMQ), what came of them and what is wrong')
    .addHelpText('after', EXAMPLES)
    .action((options: ClientOptions) =>
      withBus(options, context, async (bus, timeoutMs) => {
        const { answers, silent } = await askAll(bus, 'sources', (client) =>
          client.listSources({}, { timeoutMs }),
        );
        const { terminal } = context;
        const listed = answers.map(({ answer }) => answer);
        if (options.json) {
          terminal.line(JSON.stringify({ ingests: listed, silent }));
          return;
        }
        const rows = listed.flatMap(({ node, sources }) =>
          sources.map((source) => sourceRow(node, source)),
        );
        if (rows.length === 0) terminal.line('There is no source. Name one under `sources:`.');
        else printTable(terminal, COLUMNS, rows);
        for (const line of silent) terminal.note(line);
      }),
    );
}

const COLUMNS = [
  { title: 'SOURCE' },
  { title: 'NODE' },
  { title: 'FROM' },
  { title: 'QUEUE' },
  { title: 'TAKEN', right: true },
  { title: 'ACKED', right: true },
  { title: 'REFUSED', right: true },
  { title: 'HELD', right: true },
  { title: 'STATE' },
];

function sourceRow(node: string, source: sources.SourceStatus): string[] {
  const { name, address, push, taken, acknowledged, refused, held, waiting } = source;
  const figures = [taken, acknowledged, refused, held].map(formatCount);
  return [name, node, address, push, ...figures, waiting === '' ? 'connected' : waiting];
}
