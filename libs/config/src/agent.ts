import { ConfigError, faultsOf } from './faults.js';
import { readText } from './load.js';
import {
  addresses,
  duration,
  type Field,
  fail,
  list,
  named,
  oneOf,
  scalar,
  secret,
  section,
  text,
} from './schema.js';
import type { Secret } from './secret.js';
import { quoted } from './units.js';
import { parseYaml } from './yaml-file.js';

/** What `malabar agent` can write values as. */
export const AGENT_FORMATS = ['json', 'yaml', 'ini', 'php'] as const;

export type AgentFormat = (typeof AGENT_FORMATS)[number];

/** A file that the agent keeps. */
export interface AgentOutput {
  file: string;
  format: AgentFormat;
  /** Names of the files whose values it gets; all without. */
  only?: string[];
  /** `user` or `user:group`. */
  owner?: string;
  /** Permission bits. */
  mode: number;
  /** Program and arguments to run when it has changed. */
  reload?: string[];
  reloadTimeoutMs: number;
}

/** What the agent follows of a domain. */
export interface AgentDomain {
  subscribe: string[];
  outputs: AgentOutput[];
}

/** The file of `malabar agent --config`. */
export interface AgentConfig {
  keepers: string[];
  node?: string;
  component?: string;
  zone?: string;
  tags: Record<string, string>;
  token?: Secret;
  tls?: { ca?: string; cert?: string; key?: string };
  /** Folder for what the agent knows, so that it starts while no keeper answers. */
  snapshot?: string;
  /** Encrypts the snapshot. */
  snapshotKey?: Secret;
  /** An operator's file whose values win. */
  override?: string;
  domains: Record<string, AgentDomain>;
}

/** Permission bits as people write them. */
export function parseMode(value: unknown): number {
  if (typeof value === 'string' && /^0?[0-7]{3}$/.test(value)) return Number.parseInt(value, 8);
  throw new TypeError(`${quoted(value)} is not a mode in quotes, e.g. '0640'`);
}

const output = section({
  file: text,
  format: oneOf(...AGENT_FORMATS),
  only: list('names of files', text).optional(),
  owner: text.optional(),
  mode: scalar('mode', parseMode).prefault('0640'),
  reload: list('a program and its arguments', text).optional(),
  reloadTimeoutMs: duration.prefault('30s'),
});

const domain = section({
  subscribe: list('subscriptions', text),
  outputs: list('outputs', output),
});

const agentSchema = section({
  keepers: addresses.prefault(['127.0.0.1:7400']),
  node: text.optional(),
  component: text.optional(),
  zone: text.optional(),
  tags: named('tag', text),
  token: secret.optional(),
  tls: section({
    ca: text.optional(),
    cert: text.optional(),
    key: text.optional(),
  }).optional(),
  snapshot: text.optional(),
  snapshotKey: secret.optional(),
  override: text.optional(),
  domains: named('domain', domain, 'says which domains to follow'),
}).superRefine((config, context) => {
  const files = new Set<string>();
  for (const [name, { outputs }] of Object.entries(config.domains)) {
    for (const [at, { file }] of outputs.entries()) {
      const path = ['domains', name, 'outputs', String(at), 'file'];
      if (files.has(file)) fail(context, `${quoted(file)} is written by another output`, path);
      files.add(file);
    }
  }
}) as Field<AgentConfig>;

/** The configuration of an agent. Throws a ConfigError with every fault. */
export function readAgentConfig(file: string): AgentConfig {
  const yaml = parseYaml(file, readText(file));
  const parsed = agentSchema.safeParse(yaml.values);
  if (parsed.success) return parsed.data;
  throw new ConfigError(faultsOf(parsed.error.issues).map(yaml.fault));
}
