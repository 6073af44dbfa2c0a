import { hostname } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { AgentConfig, AgentOutput } from '@malabar/config';
import type { config } from '@malabar/contracts';
import { baseName } from '@malabar/typed-config';
import { readSubscription } from '../config/subscription.js';
import { CommandError, EXIT } from '../exit.js';
import type { Output } from './outputs.js';
import { findOwner } from './owner.js';

/** What an agent does, ready to be done. */
export interface AgentSettings extends Omit<AgentConfig, 'domains' | 'node' | 'snapshot'> {
  node: string;
  snapshotFile?: string;
  domains: FollowedDomain[];
}

/** A domain and the files that are made of it. */
export interface FollowedDomain {
  domain: string;
  subscriptions: config.Subscription[];
  outputs: Output[];
}

/** Checks what the file or the options say against this machine. Throws a CommandError. */
export async function settleAgent(given: AgentConfig, cwd: string): Promise<AgentSettings> {
  const { domains, node = hostname(), snapshot, ...rest } = given;
  const followed: FollowedDomain[] = [];
  for (const [domain, { subscribe, outputs }] of Object.entries(domains)) {
    const subscriptions = subscribe.map(readSubscription);
    const names = subscriptions.map(({ file }) => baseName(file));
    const settled: Output[] = [];
    for (const output of outputs) settled.push(await settleOutput(output, { cwd, names }));
    followed.push({ domain, subscriptions, outputs: settled });
  }
  const snapshotFile = snapshot && join(resolve(cwd, snapshot), `${fileName(node)}.snapshot`);
  return { ...rest, node, snapshotFile, domains: followed };
}

async function settleOutput(
  { file, format, only, owner, mode, reload, reloadTimeoutMs }: AgentOutput,
  { cwd, names }: { cwd: string; names: readonly string[] },
): Promise<Output> {
  const stranger = only?.find((name) => !names.includes(name));
  if (stranger !== undefined) {
    const known = [...new Set(names)].join(', ');
    throw new CommandError(EXIT.usage, `${file}: '${stranger}' is not subscribed to`, known);
  }
  return {
    path: isAbsolute(file) ? file : resolve(cwd, file),
    format,
    only,
    attributes: { mode, owner: owner === undefined ? undefined : findOwner(owner) },
    reload: reload && { argv: argvOf(reload), timeoutMs: reloadTimeoutMs },
  };
}

function argvOf([program, ...rest]: string[]): [string, ...string[]] {
  if (program) return [program, ...rest];
  throw new CommandError(EXIT.usage, 'the reload command is empty');
}

/** A node's name may be `10.0.0.1:80`, and a file's name should not walk anywhere. */
function fileName(node: string): string {
  return encodeURIComponent(node).replaceAll('.', '%2E');
}
