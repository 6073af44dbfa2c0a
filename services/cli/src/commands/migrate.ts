import { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { faultLine } from '../config/faults.js';
import { releaseJson, releaseLine } from '../config/release.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT, FaultsError } from '../exit.js';
import { plural } from '../format.js';
import { type EtcdOptions, etcdOptions, withEtcd } from '../migrate/etcd-source.js';
import { withoutFaulty } from '../migrate/faulty.js';
import {
  CONF,
  DISCOVERY,
  decidedServices,
  type GokeeperDomain,
  readGokeeper,
  VERSIONS,
} from '../migrate/gokeeper.js';
import { takeOver } from '../migrate/take-over.js';
import { collect } from '../settings.js';
import type { Terminal } from '../terminal.js';
import { peppercronCommand } from './migrate-peppercron.js';

const GROUP_EXAMPLES = `
Examples:
  malabar migrate gokeeper --etcd 10.0.0.7:2379 --dry-run
  malabar migrate peppercron --etcd 10.0.0.7:2379`;

/** `malabar migrate`: what other systems keep, into this one. */
export function migrateCommand(context: CommandContext): Command {
  return new Command('migrate')
    .description('take over what another system keeps')
    .addCommand(gokeeperCommand(context))
    .addCommand(peppercronCommand(context))
    .addHelpText('after', GROUP_EXAMPLES);
}

interface GokeeperOptions extends ClientOptions, EtcdOptions {
  domain: string[];
  dryRun?: boolean;
  skipFaulty?: boolean;
}

const EXAMPLES = `
gokeeper may go on running: nothing is written to its etcd. Each domain becomes one release here. What
gokeeper accepted and a domain cannot have (names with '/', values that do not parse) is a fault: with one
nothing is made, unless --skip-faulty leaves out what the faults name.

Examples:
  malabar migrate gokeeper --etcd 10.0.0.7:2379 --dry-run
  malabar migrate gokeeper --etcd 10.0.0.7:2379 --domain shop --domain mall
  malabar migrate gokeeper --etcd 10.0.0.7:2379 --user root --password-file etcd.password`;

function gokeeperCommand(context: CommandContext): Command {
  return etcdOptions(clientCommand('gokeeper'))
    .description("read a running gokeeper's etcd into domains")
    .option('--domain <name>', 'only this one; may be repeated', collect, [])
    .option('--dry-run', 'only say what would be made')
    .option('--skip-faulty', 'leave out what the faults name, and say so')
    .addHelpText('after', EXAMPLES)
    .action((options: GokeeperOptions) => migrate(context, options));
}

async function migrate(context: CommandContext, options: GokeeperOptions): Promise<void> {
  const { terminal } = context;
  const { domains, services } = await readEtcd(context, options);
  const chosen = choose(domains, options.domain);
  const ready = options.skipFaulty ? chosen.map(withoutItsFaults) : chosen;
  const faults = ready.flatMap(faultLines);
  if (!options.json) noteDoubts(terminal, ready, services);
  if (options.dryRun) {
    printPlan(terminal, ready, services, options.json);
    if (faults.length > 0) throw new FaultsError(faults);
    return;
  }
  if (faults.length > 0) throw new FaultsError(faults);
  await takeOverAll(context, options, ready);
}

function readEtcd(
  context: CommandContext,
  options: GokeeperOptions,
): Promise<{ domains: GokeeperDomain[]; services: string[] }> {
  return withEtcd(context, options, async (client) => {
    const found = [];
    // The versions last: no key is newer than the version that was read after it, unless it stays so.
    for (const prefix of [CONF, DISCOVERY, VERSIONS])
      found.push(...(await client.list(prefix)).entries);
    return { domains: readGokeeper(found), services: decidedServices(found) };
  });
}

function choose(domains: GokeeperDomain[], wanted: readonly string[]): GokeeperDomain[] {
  const names = domains.map(({ name }) => name);
  const missing = wanted.filter((name) => !names.includes(name));
  if (missing.length > 0 || domains.length === 0)
    throw new CommandError(
      EXIT.notFound,
      missing.length > 0 ? `gokeeper has no domain '${missing[0]}'` : 'there is no gokeeper here',
      names.length > 0 ? `it has ${names.join(', ')}` : `nothing lies below ${CONF} in this etcd`,
    );
  return wanted.length === 0 ? domains : domains.filter(({ name }) => wanted.includes(name));
}

function withoutItsFaults(domain: GokeeperDomain): GokeeperDomain {
  const { files, faults, warnings } = domain;
  const leftOut = faults.map((fault) => ({ ...fault, message: `left out: ${fault.message}` }));
  return {
    ...domain,
    files: withoutFaulty(files, faults),
    faults: [],
    warnings: [...warnings, ...leftOut],
  };
}

const faultLines = ({ name, faults }: GokeeperDomain): string[] =>
  faults.map((fault) => `${name} ${faultLine(fault)}`);

function noteDoubts(
  terminal: Terminal,
  domains: readonly GokeeperDomain[],
  services: readonly string[],
): void {
  for (const { name, warnings } of domains)
    for (const warning of warnings) terminal.note(`warning: ${name} ${faultLine(warning)}`);
  for (const service of services)
    terminal.note(`not taken over: what gokeeper's discovery was told about ${service}`);
}

function printPlan(
  terminal: Terminal,
  domains: readonly GokeeperDomain[],
  services: readonly string[],
  json = false,
): void {
  if (json) {
    terminal.line(JSON.stringify({ domains, notTakenOver: services }));
    return;
  }
  for (const domain of domains) {
    terminal.line(`${domain.name}: ${sizeOf(domain)}`);
    for (const { path, sections } of domain.files) {
      const parts = sections.map(
        ({ name, entries }) => `[${name}] ${plural(entries.length, 'key')}`,
      );
      terminal.line(`  ${path}  ${parts.join(', ')}`);
    }
  }
}

function sizeOf({ files, version }: GokeeperDomain): string {
  const keys = files.flatMap(({ sections }) => sections.flatMap(({ entries }) => entries));
  const at = version > 0 ? `, at gokeeper's version ${version}` : '';
  return `${plural(files.length, 'file')}, ${plural(keys.length, 'key')}${at}`;
}

function takeOverAll(
  context: CommandContext,
  options: GokeeperOptions,
  domains: readonly GokeeperDomain[],
): Promise<void> {
  return withConfig(options, context, async (access) => {
    const made = [];
    for (const domain of domains.filter(({ files }) => files.length > 0)) {
      const release = await takeOver(access, domain);
      made.push({ domain: domain.name, release: release && releaseJson(release) });
      const here = `${domain.name}: is here already, as it is there`;
      if (!options.json) context.terminal.line(release ? releaseLine(release) : here);
    }
    if (options.json) context.terminal.line(JSON.stringify({ made }));
  });
}
