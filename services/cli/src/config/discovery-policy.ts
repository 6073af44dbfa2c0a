import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { DEFAULT_SECTION } from '@malabar/typed-config';
import { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { type ConfigAccess, EXPECT } from './domain.js';
import { applyEdit, type EditOptions } from './edit.js';
import { getFiles } from './files.js';
import { parseState } from './state-ref.js';

/** Its files are what is decided about services. */
const POLICY_DOMAIN = 'malabar.discovery';

const pathOf = (service: string): string => `/${service}.conf`;

/** One decision: about the service, or about an instance of it. */
export interface Decision {
  service: string;
  instance?: string;
  key: string;
  type: string;
  raw: string;
}

/** A command that decides about a service. Whom it asks is said by the options of `services`. */
export function policyCommand(name: string): Command {
  return new Command(name)
    .option('--expect <release>', EXPECT)
    .option('-m, --note <text>', 'why; kept with the release')
    .configureHelp({ showGlobalOptions: true });
}

/** Publishes the decision. */
export function decide(
  context: CommandContext,
  command: Command,
  { service, instance, ...value }: Decision,
): Promise<void> {
  const options = command.optsWithGlobals<EditOptions>();
  const section = instance ?? DEFAULT_SECTION;
  const setKey = { $case: 'setKey', value: { file: pathOf(service), section, ...value } } as const;
  const edit = { domain: POLICY_DOMAIN, operations: [{ operation: setKey }] };
  return applyEdit(context, { ...options, publish: true }, edit);
}

/** The instances that are taken out of their service. */
export async function offlineInstances(access: ConfigAccess, service: string): Promise<string[]> {
  const sections = await policySections(access, service);
  return sections
    .filter(({ entries }) => entries.some(({ key, raw }) => key === 'online' && isOff(raw)))
    .map(({ name }) => name);
}

// gokeeper's words for no.
function isOff(raw: string): boolean {
  return /^(f|false|0)$/i.test(raw);
}

async function policySections(
  access: ConfigAccess,
  service: string,
): Promise<config.ConfigSection[]> {
  try {
    const wanted = { domain: POLICY_DOMAIN, state: parseState('current'), path: pathOf(service) };
    return (await getFiles(access, wanted)).files.flatMap(({ sections }) => sections);
  } catch (error) {
    if (error instanceof BusError && error.code === 'NOT_FOUND') return [];
    throw error;
  }
}
