import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, type MalabarConfig, parseDuration } from '@malabar/config';
import { formatListenAddress, isWildcard, parseListenAddress } from '@malabar/core';
import { Command } from 'commander';
import { type Bus, openBus } from './bus.js';
import type { CommandContext } from './context.js';
import { CommandError, EXIT } from './exit.js';
import { localProcesses } from './local-processes.js';
import { userToken } from './user-token.js';

/** Options that every command has which talks to a running bus. */
export interface ClientOptions {
  address?: string;
  config?: string;
  tokenFile?: string;
  json?: boolean;
  timeout: string;
}

const ALL_IN_ONE = '127.0.0.1:7400';

/** A command that talks to a running bus, with the options for that. */
export function clientCommand(name: string): Command {
  return new Command(name)
    .option('--address <host:port>', 'gRPC address of the bus or its keeper (MALABAR_ADDRESS)')
    .option('--config <file>', 'configuration to read the address and token from')
    .option('--token-file <file>', 'show the token that stands here (or MALABAR_TOKEN)')
    .option('--timeout <duration>', 'give up when the bus is silent for this long', '10s')
    .option('--json', 'print JSON');
}

/** The settings that a client command goes by, and the file that they came from. */
export function readSettings(
  options: Pick<ClientOptions, 'address' | 'config'>,
  { env, cwd }: CommandContext,
): MalabarConfig {
  // A named address needs no file, so a broken malabar.yaml does not hide a running bus.
  const named = options.address ?? env.MALABAR_ADDRESS;
  const file = options.config ?? (named ? undefined : defaultFile(cwd));
  return loadConfig({ file, env, flags: {} });
}

/** `malabar.yaml` of the working directory if there is one. */
export function defaultFile(cwd: string): string | undefined {
  const file = join(cwd, 'malabar.yaml');
  return existsSync(file) ? file : undefined;
}

/** Where to look for the bus, in this order. */
export function addressesOf(
  options: Pick<ClientOptions, 'address' | 'config'>,
  context: CommandContext,
  config: MalabarConfig = readSettings(options, context),
): string[] {
  const named = options.address ?? context.env.MALABAR_ADDRESS;
  if (named) return [named];
  const { host, port } = parseListenAddress(config.grpc.listen ?? ALL_IN_ONE);
  const own = formatListenAddress({ host: isWildcard(host) ? '127.0.0.1' : host, port });
  return [...new Set([own, ...(config.addresses.keeper ?? [])])];
}

/**
 * Runs `work` with the bus that the options name and closes its connections. Where nobody names an address
 * and no keeper answers, the processes of this machine are asked, unless `keeperOnly`.
 */
export async function withBus<T>(
  options: ClientOptions,
  context: CommandContext,
  work: (bus: Bus, timeoutMs: number) => Promise<T>,
  { keeperOnly = false } = {},
): Promise<T> {
  const timeoutMs = durationOption('--timeout', options.timeout);
  const config = readSettings(options, context);
  const isNamed = Boolean(options.address ?? context.env.MALABAR_ADDRESS);
  const bus = await openBus({
    addresses: addressesOf(options, context, config),
    grpc: config.grpc,
    userToken: userToken(options, context),
    timeoutMs: Math.min(timeoutMs, 3_000),
    processes: isNamed || keeperOnly ? undefined : () => localProcesses(config.data),
  });
  if (bus.keeperAway)
    context.terminal.note(`no keeper answers at ${bus.address}; the processes of this machine do`);
  try {
    return await work(bus, timeoutMs);
  } finally {
    bus.close();
  }
}

/** A duration such as `30s` in milliseconds; the error names the option. */
export function durationOption(option: string, text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new CommandError(EXIT.usage, `${option}: ${(error as Error).message}`);
  }
}

/** A whole number from `min` to `max`; the error names the option. */
export function countOption(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new CommandError(
    EXIT.usage,
    `${option}: '${text}' is no whole number from ${min} to ${max}`,
  );
}

/** `queue/topic` in two. */
export function topicOption(text: string): { queue: string; topic: string } {
  const parts = /^([^/]+)\/([^/]+)$/.exec(text);
  if (parts) return { queue: parts[1] as string, topic: parts[2] as string };
  throw new CommandError(EXIT.usage, `--topic: '${text}' is not of the form queue/topic`);
}
