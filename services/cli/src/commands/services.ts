import { discovery } from '@malabar/contracts';
import type { Command } from 'commander';
import type { Bus } from '../bus.js';
import { type ClientOptions, clientCommand, withBus } from '../client-command.js';
import { offlineInstances } from '../config/discovery-policy.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { formatTime } from '../format.js';
import { printTable } from '../table.js';
import type { Terminal } from '../terminal.js';
import {
  algorithmCommand,
  offlineCommand,
  onlineCommand,
  protectCommand,
  weightCommand,
  zoneWeightsCommand,
} from './services-policy.js';

interface ServicesOptions extends ClientOptions {
  env: string;
}

const EXAMPLES = `
What is decided about a service is configuration, domain malabar.discovery: each change is a release,
and \`malabar config history malabar.discovery\` shows who made it.

Examples:
  malabar services
  malabar services shop.checkout --json
  malabar services weight shop.checkout web-1 10
  malabar services offline shop.checkout web-2 -m 'bad disk'`;

/** `malabar services`: who serves what, and how callers choose. */
export function servicesCommand(context: CommandContext): Command {
  return clientCommand('services')
    .description('list the instances of services, and decide how callers choose among them')
    .argument('[service]', 'only this service')
    .option('--env <name>', 'only instances of this environment; * for all', '*')
    .addCommand(weightCommand(context))
    .addCommand(onlineCommand(context))
    .addCommand(offlineCommand(context))
    .addCommand(algorithmCommand(context))
    .addCommand(zoneWeightsCommand(context))
    .addCommand(protectCommand(context))
    .addHelpText('after', EXAMPLES)
    .action((service: string | undefined, options: ServicesOptions) =>
      withBus(options, context, (bus, timeoutMs) =>
        listServices(bus, { service, options, timeoutMs, terminal: context.terminal }),
      ),
    );
}

interface Listing {
  service: string | undefined;
  options: ServicesOptions;
  timeoutMs: number;
  terminal: Terminal;
}

async function listServices(bus: Bus, listing: Listing): Promise<void> {
  const { service, options, timeoutMs, terminal } = listing;
  const request = { services: service ? [service] : [], env: options.env };
  const { services } = await bus.client('discovery').resolve(request, { timeoutMs });
  const access = { service: bus.client('config'), timeoutMs };
  const offline = service ? await offlineInstances(access, service) : [];
  if (
    service &&
    offline.length === 0 &&
    services.every(({ instances }) => instances.length === 0)
  ) {
    throw new CommandError(
      EXIT.notFound,
      `nobody serves '${service}'`,
      '`malabar services` lists what is served',
    );
  }
  if (options.json) terminal.line(JSON.stringify({ services: services.map(serviceJson), offline }));
  else printServices(terminal, services, offline);
}

/** `ROUND_ROBIN` as `round_robin`. */
function algorithmName(algorithm: discovery.Algorithm | undefined): string {
  return (discovery.Algorithm[algorithm ?? 0] ?? 'unknown').toLowerCase();
}

function serviceJson(service: discovery.Service): object {
  const { policy } = service;
  return { ...service, policy: { ...policy, algorithm: algorithmName(policy?.algorithm) } };
}

function printServices(
  terminal: Terminal,
  services: readonly discovery.Service[],
  offline: readonly string[],
): void {
  const columns = [
    { title: 'SERVICE' },
    { title: 'INSTANCE' },
    { title: 'ZONE' },
    { title: 'ENV' },
    { title: 'WEIGHT', right: true },
    { title: 'SINCE' },
    { title: 'STATE' },
    { title: 'ADDRESSES' },
  ];
  const rows = services.flatMap((service) =>
    service.instances.map((instance) => instanceRow(terminal, instance)),
  );
  const name = services[0]?.name ?? '';
  const hidden = offline.map((id) => [
    name,
    id,
    '',
    '',
    '',
    '',
    terminal.style('yellow', 'offline'),
  ]);
  printTable(terminal, columns, [...rows, ...hidden]);
  for (const service of services) for (const line of policyNotes(service)) terminal.note(line);
}

function instanceRow(terminal: Terminal, instance: discovery.Instance): string[] {
  const { service, id, zone, env, weight, startedAtMs, suspect, addresses } = instance;
  return [
    service,
    id,
    zone,
    env,
    String(weight),
    formatTime(startedAtMs),
    suspect ? terminal.style('red', 'suspect') : terminal.style('green', 'online'),
    Object.entries(addresses)
      .map(([scheme, address]) => `${scheme}=${address}`)
      .join(' '),
  ];
}

function policyNotes({ name, policy, protected: isHeld }: discovery.Service): string[] {
  const algorithm = algorithmName(policy?.algorithm).replaceAll('_', ' ');
  const zones = Object.keys(policy?.zoneWeights ?? {});
  const notes = [`${name}: ${algorithm}${zones.length > 0 ? `, weights for zone ${zones}` : ''}`];
  if (isHeld) notes.push(`${name}: too many vanished at once; the list is held (suspect)`);
  return notes;
}
