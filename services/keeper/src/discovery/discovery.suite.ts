import { config, discovery } from '@malabar/contracts';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { logToMemory, type MemoryEntry } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Place } from '../backends.suite.js';
import { Discovery } from './discovery.js';
import { POLICY_DOMAIN, type PolicySource } from './policies.js';

/** An instance of `shop` with an address of its own; `parts` replaces what a test is about. */
export function instance(id: string, parts: Partial<discovery.Instance> = {}): discovery.Instance {
  const addresses = { grpc: `${id}.example:7400` };
  return discovery.Instance.fromPartial({ id, service: 'shop', addresses, ...parts });
}

/** Releases of `malabar.discovery` that a test publishes. */
export function memoryPolicies() {
  const domains = new Map<string, { record: { release: number } }>();
  const contents: config.ConfigFile[][] = [];
  const listeners = new Set<(domain: string) => void>();
  return {
    domains,
    onChange(listener: (domain: string) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    content: async (_: string, release: number) => contents[release - 1] ?? [],
    addValidator: () => {},
    publish(...files: config.ConfigFile[]) {
      domains.set(POLICY_DOMAIN, { record: { release: contents.push(files) } });
      for (const listener of listeners) listener(POLICY_DOMAIN);
    },
  } satisfies PolicySource & Record<string, unknown>;
}

/** A file of the policy: `{ DEFAULT: { algorithm: ['string', 'random'] } }`. */
export function policyFile(
  service: string,
  sections: Record<string, Record<string, [type: string, raw: string]>>,
): config.ConfigFile {
  return config.ConfigFile.fromPartial({
    path: `/${service}.conf`,
    sections: Object.entries(sections).map(([name, entries]) => ({
      name,
      entries: Object.entries(entries).map(([key, [type, raw]]) => ({ key, type, raw })),
    })),
  });
}

/** The discovery of one keeper, and of further keepers on the same data. */
export interface Stage {
  keeper: Discovery;
  policies: ReturnType<typeof memoryPolicies>;
  entries: MemoryEntry[];
  place: Place;
  /** One more keeper, as if it came up now. */
  another(): Promise<Discovery>;
}

export async function stage(place: Place): Promise<Stage> {
  const policies = memoryPolicies();
  const { log, entries } = logToMemory<Logger>();
  let keepers = 0;
  const begin = async (backend = place.backend): Promise<Discovery> => {
    const { clock } = place;
    const self = { id: `keeper-${++keepers}` };
    const metrics = createMetrics();
    const keeper = new Discovery({ backend, policies, self, clock, log, metrics });
    await keeper.start();
    onTestFinished(() => keeper.stop());
    return keeper;
  };
  const another = async (): Promise<Discovery> => begin(await place.another());
  return { keeper: await begin(), policies, entries, place, another };
}

/** What a keeper shows of `shop`: ids, with `?` behind suspects. */
export function shown(keeper: Discovery, env = ''): string[] {
  const [service] = keeper.catalog.resolve(['shop'], env);
  return (service?.instances ?? []).map(({ id, suspect }) => (suspect ? `${id}?` : id));
}
