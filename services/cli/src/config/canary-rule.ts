import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../exit.js';
import { collect } from '../settings.js';

/** Options that say whom a release reaches first. */
export interface CanaryOptions {
  canaryNodes?: string;
  canaryTag: string[];
  canaryPercent?: string;
}

/** Adds them to a command. */
export function withCanaryOptions(command: Command): Command {
  return command
    .option('--canary-nodes <ids>', 'only these nodes get it, separated by commas')
    .option(
      '--canary-tag <key=value>',
      'only nodes with all these tags; may be repeated',
      collect,
      [],
    )
    .option('--canary-percent <n>', 'only this part of all nodes, 0 to 100');
}

/** The rule that the options make; none for everybody. */
export function canaryRule(options: CanaryOptions): config.CanaryRule | undefined {
  const { canaryNodes = '', canaryTag, canaryPercent } = options;
  if (canaryNodes === '' && canaryTag.length === 0 && canaryPercent === undefined) return undefined;
  return {
    nodeIds: canaryNodes.split(',').filter(Boolean),
    tags: Object.fromEntries(canaryTag.map((text) => parseTag('--canary-tag', text))),
    percent: percentOf(canaryPercent ?? '0'),
  };
}

/** `key=value` in two; the error names the option. */
export function parseTag(option: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new CommandError(EXIT.usage, `${option}: '${text}' is not of the form key=value`);
}

function percentOf(text: string): number {
  const value = Number(text);
  if (text !== '' && value >= 0 && value <= 100) return value;
  throw new CommandError(EXIT.usage, `--canary-percent: '${text}' is no number from 0 to 100`);
}

/** A rule in words, e.g. `nodes a, b; rack=7; 10 %`. */
export function canaryText(rule: config.CanaryRule | undefined): string {
  const { nodeIds = [], tags = {}, percent = 0 } = rule ?? {};
  const parts = [
    nodeIds.length > 0 ? `nodes ${nodeIds.join(', ')}` : '',
    Object.entries(tags)
      .map(([key, value]) => `${key}=${value}`)
      .join(' and '),
    percent > 0 ? `${percent} %` : '',
  ];
  return parts.filter(Boolean).join('; ') || 'nobody';
}
