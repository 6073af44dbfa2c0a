import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import type { CommandContext } from '../context.js';
import { formatTime } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';

/** `malabar config who`: who runs which release. */
export function whoCommand(context: CommandContext): Command {
  return clientCommand('who')
    .description('list nodes: which release each runs since when, and which refuses one and why')
    .argument('[domain]', 'only this domain')
    .addHelpText('after', '\nExamples:\n  malabar config who shop\n  malabar config who --json')
    .action((domain: string | undefined, options: ClientOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const request = { domain: domain ?? '', onlyHere: false };
        const answer = await service.listNodes(request, { timeoutMs });
        const { terminal } = context;
        if (options.json) {
          terminal.line(JSON.stringify(answer));
          return;
        }
        printNodes(terminal, answer.nodes);
        for (const keeper of answer.silentKeepers) {
          terminal.note(`keeper ${keeper} could not be asked; its nodes are missing here`);
        }
      }),
    );
}

function printNodes(terminal: Terminal, nodes: readonly config.Node[]): void {
  const columns = [
    { title: 'DOMAIN' },
    { title: 'NODE' },
    { title: 'COMPONENT' },
    { title: 'ZONE' },
    { title: 'RUNS', right: true },
    { title: 'SINCE' },
    { title: 'STATE' },
  ];
  const rows = nodes.map((node) => [
    node.domain,
    node.id,
    node.component,
    node.zone,
    node.release === 0 ? '-' : String(node.release),
    formatTime(node.sinceMs),
    stateCell(terminal, node),
  ]);
  printTable(terminal, columns, rows);
}

function stateCell(terminal: Terminal, node: config.Node): string {
  if (!node.connected) return terminal.style('dim', 'has left');
  if (node.refusal !== '') {
    return terminal.style('red', `refuses ${node.offered}: ${node.refusal.replaceAll('\n', ' ')}`);
  }
  if (node.release !== node.offered) return terminal.style('yellow', `is offered ${node.offered}`);
  return terminal.style('green', 'ok');
}
