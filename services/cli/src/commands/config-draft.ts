import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { type CanaryOptions, canaryRule, withCanaryOptions } from '../config/canary-rule.js';
import { changeJson, changeLines } from '../config/changes.js';
import { getDomain, withConfig } from '../config/domain.js';
import { noteWarnings, refuseFaults, type Sources } from '../config/faults.js';
import { draftText } from '../config/release.js';
import { parseState, STATES, stateText } from '../config/state-ref.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { formatTime, plural } from '../format.js';

/** `malabar config draft`: who edits what. */
export function draftCommand(context: CommandContext): Command {
  return clientCommand('draft')
    .description('show the draft of a domain: who edits it, and what differs from what is in force')
    .argument('<domain>', 'the domain')
    .addHelpText(
      'after',
      '\nExamples:\n  malabar config draft shop\n  malabar config draft shop --json',
    )
    .action((name: string, options: ClientOptions) =>
      withConfig(options, context, async (access) => {
        const { draft } = await getDomain(access, name);
        const { terminal } = context;
        if (!draft) {
          terminal.line(options.json ? JSON.stringify({}) : `${name}: no draft`);
          return;
        }
        const request = { domain: name, from: parseState('current'), to: parseState('draft') };
        const { timeoutMs } = access;
        const { changes } = await access.service.diff(request, { timeoutMs });
        if (options.json) {
          terminal.line(JSON.stringify({ draft, changes: changes.map(changeJson) }));
          return;
        }
        terminal.line(`${name}: ${draftText(draft)}, ${formatTime(draft.changedAtMs)}`);
        for (const line of changeLines(terminal, changes)) terminal.line(line);
      }),
    );
}

/** `malabar config discard`: throws the draft away. */
export function discardCommand(context: CommandContext): Command {
  return clientCommand('discard')
    .description('throw the draft of a domain away')
    .argument('<domain>', 'the domain')
    .addHelpText('after', '\nExamples:\n  malabar config discard shop')
    .action((name: string, options: ClientOptions) =>
      withConfig(options, context, async (access) => {
        const { draft } = await getDomain(access, name);
        if (!draft) throw new CommandError(EXIT.notFound, `domain '${name}' has no draft`);
        const request = { domain: name, draftRevision: draft.revision };
        await access.service.discardDraft(request, { timeoutMs: access.timeoutMs });
        const { terminal } = context;
        if (options.json) terminal.line(JSON.stringify({ draft }));
        else terminal.line(`${name}: ${draftText(draft)}, is thrown away`);
      }),
    );
}

/** `malabar config validate`: what publishing the draft would say. */
export function validateCommand(context: CommandContext): Command {
  return withCanaryOptions(clientCommand('validate'))
    .description('say what publishing the draft would do; exit code 2 if it would be refused')
    .argument('<domain>', 'the domain')
    .addHelpText(
      'after',
      `
Examples:
  malabar config validate shop
  malabar config validate shop --canary-percent 10`,
    )
    .action((domain: string, options: ClientOptions & CanaryOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const request = { domain, operations: [], canary: canaryRule(options) };
        const verdict = await service.validate(request, { timeoutMs });
        printVerdict(context, verdict, { json: options.json });
      }),
    );
}

/** Prints what publishing would do; ends the command if it would be refused. */
export function printVerdict(
  { terminal }: CommandContext,
  verdict: config.ValidateResponse,
  { json, sources }: { json?: boolean | undefined; sources?: Sources },
): void {
  const { faults, warnings, changes, reachedNodeIds } = verdict;
  if (json) {
    terminal.line(JSON.stringify({ ...verdict, changes: changes.map(changeJson) }));
  } else {
    for (const line of changeLines(terminal, changes)) terminal.line(line);
    const reached = plural(reachedNodeIds.length, 'node');
    terminal.line(`${plural(changes.length, 'change')}, would reach ${reached} now`);
  }
  noteWarnings(terminal, warnings, sources);
  refuseFaults(faults, sources);
}

/** `malabar config diff`: what differs between two states. */
export function diffCommand(context: CommandContext): Command {
  return clientCommand('diff')
    .description('show what differs between two states of a domain')
    .argument('<domain>', 'the domain')
    .argument('[from]', STATES, 'current')
    .argument('[to]', STATES, 'draft')
    .addHelpText(
      'after',
      `
Examples:
  malabar config diff shop
  malabar config diff shop 3 5
  malabar config diff shop current canary`,
    )
    .action((domain: string, from: string, to: string, options: ClientOptions) =>
      withConfig(options, context, async ({ service, timeoutMs }) => {
        const request = { domain, from: parseState(from), to: parseState(to) };
        const { changes } = await service.diff(request, { timeoutMs });
        const { terminal } = context;
        if (options.json) {
          terminal.line(JSON.stringify({ changes: changes.map(changeJson) }));
          return;
        }
        if (changes.length === 0) {
          terminal.note(`${stateText(request.from)} and ${stateText(request.to)} are the same`);
          return;
        }
        terminal.line(terminal.style('bold', `--- ${domain} ${stateText(request.from)}`));
        terminal.line(terminal.style('bold', `+++ ${domain} ${stateText(request.to)}`));
        for (const line of changeLines(terminal, changes)) terminal.line(line);
      }),
    );
}
