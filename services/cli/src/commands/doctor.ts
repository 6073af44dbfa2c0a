import type { Command } from 'commander';
import { askAll } from '../ask-all.js';
import type { Bus } from '../bus.js';
import {
  addressesOf,
  type ClientOptions,
  clientCommand,
  durationOption,
  readSettings,
  withBus,
} from '../client-command.js';
import type { CommandContext } from '../context.js';
import { askDispatchers } from '../dispatchers.js';
import { type Finding, fine, wrong } from '../doctor/check.js';
import { checkConfiguration } from '../doctor/configuration.js';
import { checkDescriptors, checkDisk, checkNode, descriptorLimit } from '../doctor/machine.js';
import { checkServices } from '../doctor/services.js';
import { checkSources } from '../doctor/sources.js';
import { checkDelivery } from '../doctor/targets.js';
import { lookWithoutKeeper } from '../doctor/without-keeper.js';
import { CommandError, EXIT } from '../exit.js';
import { renderTable } from '../table.js';
import type { Terminal } from '../terminal.js';

const EXAMPLES = `
Every line says ok, or what to do. The exit code is 1 if something is wrong.

Examples:
  malabar doctor
  malabar doctor --config /etc/malabar/malabar.yaml --json`;

export function doctorCommand(context: CommandContext): Command {
  return clientCommand('doctor')
    .description('look whether all is well: machine, configuration, services, consumers')
    .addHelpText('after', EXAMPLES)
    .action(async (options: ClientOptions) => {
      const findings = [
        ...(await checkMachine(context, options)),
        ...(await checkBus(context, options)),
      ];
      const { terminal } = context;
      if (options.json) terminal.line(JSON.stringify({ findings }));
      else printFindings(terminal, findings);
      if (findings.some(({ ok }) => !ok)) context.exitCode = EXIT.failure;
    });
}

async function checkMachine(context: CommandContext, options: ClientOptions): Promise<Finding[]> {
  const findings = [checkNode(process.version)];
  try {
    const config = readSettings(options, context);
    findings.push(fine('configuration', options.config ?? 'reads well'));
    findings.push(checkDescriptors(descriptorLimit(), config.ingest.connectionsMax));
    findings.push(await checkDisk(config.storage.path ?? config.data));
  } catch (error) {
    findings.push(wrong('configuration', messageOf(error), 'correct it: malabar config check'));
  }
  return findings;
}

async function checkBus(context: CommandContext, options: ClientOptions): Promise<Finding[]> {
  try {
    return await withBus(options, context, lookAtBus, { keeperOnly: true });
  } catch (error) {
    const { exitCode, hint: todo } = error instanceof CommandError ? error : {};
    const found = exitCode === EXIT.unreachable && (await checkProcesses(context, options));
    if (found) return found;
    return [wrong('bus', messageOf(error), todo ?? 'start one with `malabar start`')];
  }
}

/** The processes on this machine; undefined if there is none. */
async function checkProcesses(
  context: CommandContext,
  options: ClientOptions,
): Promise<Finding[] | undefined> {
  const config = readSettings(options, context);
  const timeoutMs = durationOption('--timeout', options.timeout);
  return lookWithoutKeeper(config, addressesOf(options, context, config), timeoutMs);
}

async function lookAtBus(bus: Bus, timeoutMs: number): Promise<Finding[]> {
  const { instances } = bus;
  if (!instances) {
    return [wrong('bus', `no keeper at ${bus.address}`, 'give the address of the keeper')];
  }
  const findings = await checkServices(instances);
  const has = (service: string): boolean => instances.some((each) => each.service === service);
  if (has('keeper'))
    findings.push(
      ...(await attempt('configuration release', () =>
        checkConfiguration(bus.client('config'), timeoutMs),
      )),
    );
  if (has('dispatcher')) {
    const look = async (): Promise<Finding[]> => {
      const { answers, silent } = await askDispatchers(bus, (client) =>
        client.listTargets({ queue: '' }, { timeoutMs }),
      );
      const away = silent.map((line) => wrong('dispatcher', line, 'see the log of its process'));
      return [...away, ...checkDelivery(answers.map(({ answer }) => answer))];
    };
    findings.push(...(await attempt('dispatcher', look)));
  }
  if (has('ingest')) {
    const look = async (): Promise<Finding[]> => {
      const { answers } = await askAll(bus, 'sources', (client) =>
        client.listSources({}, { timeoutMs }),
      );
      return checkSources(answers.map(({ answer }) => answer));
    };
    findings.push(...(await attempt('sources', look)));
  }
  return findings;
}

async function attempt(subject: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [wrong(subject, messageOf(error), 'see the log of its process')];
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

function printFindings(terminal: Terminal, findings: readonly Finding[]): void {
  const rows = findings.map(({ ok, subject, seen, todo }) => [
    ok ? terminal.style('green', 'ok') : terminal.style('red', 'wrong'),
    subject,
    todo ? `${seen} -> ${todo}` : seen,
  ]);
  const columns = [{ title: '' }, { title: '' }, { title: '' }];
  for (const line of renderTable(columns, rows).slice(1)) terminal.line(line);
}
