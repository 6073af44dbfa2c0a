import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { crossFaults, fileSchema } from './documents.js';
import { ConfigError, type ConfigFault, faultsOf, type KeyFault } from './faults.js';
import { applied, fromEnvironment, fromFlags, overrideFault } from './overrides.js';
import type { Environment } from './secret.js';
import type { MalabarConfig, Settings } from './settings.js';
import { noFile, parseYaml } from './yaml-file.js';

/** Where a configuration comes from, the weakest first; defaults lie below all of them. */
export interface ConfigSources {
  /** Path of malabar.yaml. */
  file?: string;
  /** Its content, if the caller has read it. */
  text?: string;
  /** MALABAR_* variables. */
  env?: Environment;
  /** `--set key=value`, by key. */
  flags?: Readonly<Record<string, string>>;
}

/** A configuration together with the way from its keys to their lines. */
export interface LoadedConfig {
  config: MalabarConfig;
  /** The file as it was written, without the other sources. */
  values: Readonly<Record<string, unknown>>;
  /** A fault that is found later, such as an unreadable secret, with its place. */
  fault(fault: KeyFault): ConfigFault;
}

/** The effective configuration. Throws a ConfigError with all faults of all sources. */
export function loadConfig(sources: ConfigSources): MalabarConfig {
  return readConfig(sources).config;
}

/** `loadConfig` for callers that go on to find faults themselves. */
export function readConfig({ file, text, env = {}, flags = {} }: ConfigSources): LoadedConfig {
  const yaml = file === undefined ? noFile() : parseYaml(file, text ?? readText(file));
  const given = [fromEnvironment(env), fromFlags(flags)];
  const overrides = given.flatMap(({ found }) => found);
  const fault = (one: KeyFault): ConfigFault => overrideFault(one, overrides) ?? yaml.fault(one);
  const parsed = fileSchema.safeParse(applied(yaml.values, overrides));
  const found = [...faultsOf(parsed.error?.issues ?? []), ...crossFaults(yaml.values)];
  const faults = [...given.flatMap((one) => one.faults), ...found.map(fault)];
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  const { systems, queues, schedules, sources, people, ...settings } = parsed.data;
  const config = {
    ...complete(settings, env, fault),
    documents: { systems, queues, schedules, sources, people },
  };
  return { config, values: yaml.values, fault };
}

/** The text of a configuration file. Throws a ConfigError that says why there is none. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown reason';
    const message = `cannot be read: ${reason === 'ENOENT' ? 'there is no such file' : reason}`;
    throw new ConfigError([{ file, line: 0, column: 0, key: '', message }]);
  }
}

function complete(
  settings: Settings,
  env: Environment,
  fault: (one: KeyFault) => ConfigFault,
): Omit<MalabarConfig, 'documents'> {
  const { grpc, storage, data } = settings;
  let token: string | undefined;
  try {
    token = grpc.token?.reveal(env);
  } catch (error) {
    throw new ConfigError([fault({ path: ['grpc', 'token'], message: (error as Error).message })]);
  }
  return {
    ...settings,
    node: settings.node ?? `${hostname()}-${process.pid}`,
    grpc: { ...grpc, token },
    storage: { ...storage, path: storage.path ?? join(data, 'store') },
  };
}
