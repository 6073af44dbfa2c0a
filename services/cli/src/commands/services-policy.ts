import { discovery } from '@malabar/contracts';
import type { Command } from 'commander';
import { countOption } from '../client-command.js';
import { decide, policyCommand } from '../config/discovery-policy.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';

const WEIGHT_MAX = 10_000;

/** `malabar services weight`: how many of the calls an instance gets. */
export function weightCommand(context: CommandContext): Command {
  return policyCommand('weight')
    .description('say how many calls an instance gets, against the others; 100 is usual, 0 is none')
    .argument('<service>', 'the service')
    .argument('<instance>', 'id of the instance')
    .argument('<weight>', `0 to ${WEIGHT_MAX}`)
    .addHelpText('after', '\nExamples:\n  malabar services weight shop.checkout web-1 10')
    .action(
      (...[service, instance, text, , command]: [string, string, string, object, Command]) => {
        const raw = String(countOption('weight', text, 0, WEIGHT_MAX));
        return decide(context, command, { service, instance, key: 'weight', type: 'int', raw });
      },
    );
}

/** `malabar services online`: puts an instance back. */
export function onlineCommand(context: CommandContext): Command {
  return switchCommand(context, {
    name: 'online',
    about: 'put an instance back among those that get calls',
    raw: 'true',
  });
}

/** `malabar services offline`: takes an instance out. */
export function offlineCommand(context: CommandContext): Command {
  return switchCommand(context, {
    name: 'offline',
    about: 'take an instance out: no caller sees it, though it runs',
    raw: 'false',
  });
}

function switchCommand(
  context: CommandContext,
  { name, about, raw }: { name: string; about: string; raw: string },
): Command {
  return policyCommand(name)
    .description(about)
    .argument('<service>', 'the service')
    .argument('<instance>', 'id of the instance')
    .addHelpText('after', `\nExamples:\n  malabar services ${name} shop.checkout web-1`)
    .action((service: string, instance: string, _options: object, command: Command) =>
      decide(context, command, { service, instance, key: 'online', type: 'bool', raw }),
    );
}

const ALGORITHMS = [
  discovery.Algorithm.RANDOM,
  discovery.Algorithm.ROUND_ROBIN,
  discovery.Algorithm.SMOOTH_WEIGHTED,
  discovery.Algorithm.LEAST_IN_FLIGHT,
].map((algorithm) => discovery.Algorithm[algorithm].toLowerCase());

/** `malabar services algorithm`: how callers choose. */
export function algorithmCommand(context: CommandContext): Command {
  return policyCommand('algorithm')
    .description('say how callers choose among the instances')
    .argument('<service>', 'the service')
    .argument('<algorithm>', ALGORITHMS.join(', '))
    .addHelpText('after', '\nExamples:\n  malabar services algorithm shop.checkout least_in_flight')
    .action((service: string, raw: string, _options: object, command: Command) =>
      decide(context, command, { service, key: 'algorithm', type: 'string', raw }),
    );
}

/** `malabar services zone-weights`: where the calls of a zone go. */
export function zoneWeightsCommand(context: CommandContext): Command {
  return policyCommand('zone-weights')
    .description('say to which zones the calls of a zone go; without weights, to all alike')
    .argument('<service>', 'the service')
    .argument('[weights...]', 'from=to:weight,to:weight')
    .addHelpText(
      'after',
      `
Examples:
  malabar services zone-weights shop.checkout east=east:9,west:1 west=west:1
  malabar services zone-weights shop.checkout`,
    )
    .action((service: string, weights: string[], _options: object, command: Command) => {
      const raw = JSON.stringify(Object.fromEntries(weights.map(zoneOf)));
      return decide(context, command, { service, key: 'zone_weights', type: 'json', raw });
    });
}

function zoneOf(text: string): [from: string, to: Record<string, number>] {
  const [, from, targets] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const entries = targets?.split(',').map((each) => /^([^:]+):(\d+)$/.exec(each));
  if (from === undefined || !entries?.every((entry) => entry !== null)) {
    throw new CommandError(
      EXIT.usage,
      `'${text}' is not of the form from=to:weight,to:weight`,
      'for example east=east:9,west:1',
    );
  }
  return [from, Object.fromEntries(entries.map(([, zone, weight]) => [zone, Number(weight)]))];
}

/** `malabar services protect`: when the list is held. */
export function protectCommand(context: CommandContext): Command {
  return policyCommand('protect')
    .description('hold the list when fewer than this part of the instances is alive; 0 for never')
    .argument('<service>', 'the service')
    .argument('<part>', '0 to 1')
    .addHelpText('after', '\nExamples:\n  malabar services protect shop.checkout 0.5')
    .action((service: string, raw: string, _options: object, command: Command) =>
      decide(context, command, { service, key: 'protect_below', type: 'float64', raw }),
    );
}
