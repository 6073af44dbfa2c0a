import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption, withBus } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';

/** Options of every command that writes. */
export interface WriteOptions extends ClientOptions {
  expect?: string;
}

/** What a command works with: the keeper's configuration service and the limit of each call. */
export interface ConfigAccess {
  service: Client<config.ConfigServiceDefinition>;
  timeoutMs: number;
}

/** What `--expect` is for, in helps. */
export const EXPECT = 'refuse if another release is in force (default: the one read just before)';

/** A command that writes: only to what its user has seen. */
export function writeCommand(name: string): Command {
  return clientCommand(name).option('--expect <release>', EXPECT);
}

/** Runs `work` with the configuration service of the bus that the options name. */
export function withConfig<T>(
  options: ClientOptions,
  context: CommandContext,
  work: (access: ConfigAccess) => Promise<T>,
): Promise<T> {
  return withBus(options, context, async (bus, timeoutMs) => {
    try {
      return await work({ service: bus.client('config'), timeoutMs });
    } catch (error) {
      throw explained(error);
    }
  });
}

/** The domain as it stands. */
export async function getDomain(access: ConfigAccess, name: string): Promise<config.Domain> {
  const { service, timeoutMs } = access;
  const { domain } = await service.getDomain({ domain: name }, { timeoutMs });
  if (domain) return domain;
  throw new BusError('NOT_FOUND', `domain '${name}' does not exist`);
}

/** The release that a write compares with: what `--expect` says, else the one in force. */
export function expectedRelease({ expect }: WriteOptions, { release }: config.Domain): number {
  if (expect === undefined) return release;
  return countOption('--expect', expect, 0, Number.MAX_SAFE_INTEGER);
}

function explained(error: unknown): unknown {
  if (!(error instanceof BusError) || error.code !== 'NOT_FOUND') return error;
  const hint = '`malabar config domains` and `malabar config history <domain>` list what there is';
  return new CommandError(EXIT.notFound, error.message, hint, { cause: error });
}
