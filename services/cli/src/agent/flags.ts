import {
  AGENT_FORMATS,
  type AgentConfig,
  type AgentFormat,
  type Environment,
  parseMode,
  Secret,
} from '@malabar/config';
import { durationOption } from '../client-command.js';
import { parseTag } from '../config/canary-rule.js';
import { CommandError, EXIT } from '../exit.js';

/** The agent of one file, as options say it. */
export interface AgentFlags {
  address?: string;
  domain?: string;
  subscribe: string[];
  node?: string;
  component?: string;
  zone?: string;
  tag: string[];
  out?: string;
  format?: string;
  owner?: string;
  mode: string;
  reload?: string;
  reloadShell?: string;
  reloadTimeout: string;
  snapshot?: string;
}

const ALL_IN_ONE = '127.0.0.1:7400';

/** What the options say, in the form of the file. Throws a CommandError that names the option. */
export function configOfFlags(flags: AgentFlags, env: Environment): AgentConfig {
  const { domain, subscribe, node, component, zone, snapshot, owner } = flags;
  const token = env.MALABAR_TOKEN ?? env.MALABAR_GRPC_TOKEN;
  const output = {
    file: required('--out', flags.out),
    format: formatOf(required('--format', flags.format)),
    owner,
    mode: modeOf(flags.mode),
    reload: reloadOf(flags),
    reloadTimeoutMs: durationOption('--reload-timeout', flags.reloadTimeout),
  };
  required('--subscribe', subscribe[0]);
  return {
    keepers: (flags.address ?? env.MALABAR_ADDRESS ?? ALL_IN_ONE)
      .split(',')
      .map((one) => one.trim()),
    node,
    component,
    zone,
    tags: Object.fromEntries(flags.tag.map((text) => parseTag('--tag', text))),
    token: token ? Secret.inline(token) : undefined,
    snapshot,
    domains: { [required('--domain', domain)]: { subscribe, outputs: [output] } },
  };
}

function required(option: string, value: string | undefined): string {
  if (value) return value;
  throw new CommandError(EXIT.usage, `${option} is missing`, 'or name a file with --config');
}

function formatOf(text: string): AgentFormat {
  const format = AGENT_FORMATS.find((each) => each === text);
  if (format) return format;
  throw new CommandError(EXIT.usage, `--format: '${text}' is none of ${AGENT_FORMATS.join(', ')}`);
}

function modeOf(text: string): number {
  try {
    return parseMode(text);
  } catch (error) {
    throw new CommandError(EXIT.usage, `--mode: ${(error as Error).message}`);
  }
}

function reloadOf({ reload, reloadShell }: AgentFlags): string[] | undefined {
  if (reload !== undefined && reloadShell !== undefined) {
    throw new CommandError(EXIT.usage, '--reload and --reload-shell exclude each other');
  }
  if (reloadShell !== undefined) return ['/bin/sh', '-c', reloadShell];
  return reload?.split(' ').filter(Boolean);
}
