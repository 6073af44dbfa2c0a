import { type config, discovery } from '@malabar/contracts';
import {
  canonicalType,
  DEFAULT_SECTION,
  type JsonValue,
  parseValue,
  type TypedValue,
  type TypeName,
  ValueError,
} from '@malabar/typed-config';

const WEIGHT_DEFAULT = 100;
const WEIGHT_MAX = 10_000;
const PROTECT_BELOW = 0.5;

/** What is decided about an instance by hand. */
interface InstancePolicy {
  weight: number;
  online: boolean;
}

/** What is decided about a service: a file of domain `malabar.discovery`. */
export interface ServicePolicy {
  policy: discovery.Policy;
  /** Of one that the file does not name, the usual. */
  instance(id: string): InstancePolicy;
}

const ALGORITHMS: Readonly<Record<string, discovery.Algorithm>> = {
  random: discovery.Algorithm.RANDOM,
  round_robin: discovery.Algorithm.ROUND_ROBIN,
  smooth_weighted: discovery.Algorithm.SMOOTH_WEIGHTED,
  least_in_flight: discovery.Algorithm.LEAST_IN_FLIGHT,
};

const USUAL: InstancePolicy = { weight: WEIGHT_DEFAULT, online: true };

/** Where the policy of a service stands. */
export const policyPath = (service: string): string => `/${service}.conf`;

/** What is wrong with an entry. */
type OnFault = (section: string, key: string, message: string) => void;

/** The policy that a file states; the usual one without a file. What is no policy is passed over. */
export function readPolicy(
  file: config.ConfigFile | undefined,
  onFault: OnFault = () => {},
): ServicePolicy {
  const policy: discovery.Policy = {
    algorithm: discovery.Algorithm.ROUND_ROBIN,
    protectBelow: PROTECT_BELOW,
    zoneWeights: {},
  };
  const instances = new Map<string, InstancePolicy>();
  for (const section of file?.sections ?? []) {
    if (section.name === DEFAULT_SECTION) readSection(section, SERVICE_KEYS, policy, onFault);
    else {
      const instance = { ...USUAL };
      readSection(section, INSTANCE_KEYS, instance, onFault);
      instances.set(section.name, instance);
    }
  }
  return { policy, instance: (id) => instances.get(id) ?? USUAL };
}

/** What of these files is no policy. */
export function policyFaults(files: readonly config.ConfigFile[]): config.ConfigFault[] {
  return files.flatMap((file) => {
    const faults: config.ConfigFault[] = [];
    const fault = (section: string, key: string, message: string) =>
      faults.push({ file: file.path, section, key, line: 0, message });
    if (file.path.lastIndexOf('/') > 0) {
      fault('', '', 'the policy of a service is a file without a folder: /<service>.conf');
    }
    readPolicy(file, fault);
    return faults;
  });
}

/** A key of the policy: its type and what it sets. `set` throws a ValueError. */
interface PolicyKey<T> {
  type: TypeName;
  set(target: T, value: TypedValue): void;
}

const SERVICE_KEYS: Readonly<Record<string, PolicyKey<discovery.Policy>>> = {
  algorithm: {
    type: 'string',
    set(policy, value) {
      const algorithm = ALGORITHMS[String(value)];
      const names = Object.keys(ALGORITHMS).join(', ');
      if (algorithm === undefined) throw new ValueError(`"${value}" is none of ${names}`);
      policy.algorithm = algorithm;
    },
  },
  protect_below: {
    type: 'float64',
    set(policy, value) {
      policy.protectBelow = within(Number(value), 0, 1);
    },
  },
  zone_weights: {
    type: 'json',
    set(policy, value) {
      policy.zoneWeights = zoneWeights(value as JsonValue);
    },
  },
};

const INSTANCE_KEYS: Readonly<Record<string, PolicyKey<InstancePolicy>>> = {
  weight: {
    type: 'int',
    set(instance, value) {
      instance.weight = within(Number(value), 0, WEIGHT_MAX);
    },
  },
  online: {
    type: 'bool',
    set(instance, value) {
      instance.online = value === true;
    },
  },
};

function readSection<T>(
  { name, entries }: config.ConfigSection,
  keys: Readonly<Record<string, PolicyKey<T>>>,
  target: T,
  onFault: OnFault,
): void {
  for (const { key, type, raw } of entries) {
    const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
    try {
      if (known === undefined) {
        throw new ValueError(`no such key; here are ${Object.keys(keys).join(', ')}`);
      }
      if (canonicalType(type) !== known.type) throw new ValueError(`has the type ${known.type}`);
      known.set(target, parseValue(known.type, raw));
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      onFault(name, key, error.message);
    }
  }
}

function within(number: number, least: number, most: number): number {
  if (number >= least && number <= most) return number;
  throw new ValueError(`${number} is not between ${least} and ${most}`);
}

function zoneWeights(value: JsonValue): Record<string, discovery.ZoneWeights> {
  const form = 'zone_weights is {"<zone of the caller>": {"<zone>": <weight>, ...}, ...}';
  const zones = Object.entries(objectOf(value, form));
  return Object.fromEntries(
    zones.map(([zone, weights]) => [zone, { weights: weightsOf(weights) }]),
  );

  function weightsOf(weights: JsonValue): Record<string, number> {
    const entries = Object.entries(objectOf(weights, form));
    for (const [, weight] of entries) {
      if (!Number.isInteger(weight)) throw new ValueError(`${form}; weights are whole numbers`);
      within(Number(weight), 0, WEIGHT_MAX);
    }
    return Object.fromEntries(entries) as Record<string, number>;
  }
}

function objectOf(value: JsonValue, form: string): { [name: string]: JsonValue } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new ValueError(form);
}
