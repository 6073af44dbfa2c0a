import type { config } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';
import { policyFaults, policyPath, readPolicy, type ServicePolicy } from './policy.js';

/** The domain whose files are the policies. */
export const POLICY_DOMAIN = 'malabar.discovery';

/** The part of the release store that policies come from. */
export interface PolicySource {
  readonly domains: ReadonlyMap<string, { readonly record: { readonly release: number } }>;
  onChange(listener: (domain: string) => void): () => void;
  content(domain: string, release: number): Promise<readonly config.ConfigFile[]>;
  addValidator(
    domain: string,
    validate: (files: readonly config.ConfigFile[]) => config.ConfigFault[],
  ): void;
}

const NONE = readPolicy(undefined);

/** The policies of the release in force. */
export class Policies {
  readonly #source: PolicySource;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  #byPath: ReadonlyMap<string, ServicePolicy> = new Map();
  #release = 0;
  #leave = (): void => {};
  #loading: Promise<void> = Promise.resolve();

  /** From now on no release of the domain is made that is no policy. */
  constructor(source: PolicySource, log: Logger) {
    this.#source = source;
    this.#log = log;
    source.addValidator(POLICY_DOMAIN, policyFaults);
  }

  /** Resolves once the release in force is taken over. */
  start(): Promise<void> {
    this.#leave = this.#source.onChange((domain) => {
      if (domain === POLICY_DOMAIN) this.#reload();
    });
    return this.#reload();
  }

  async stop(): Promise<void> {
    this.#leave();
    await this.#loading;
  }

  of(service: string): ServicePolicy {
    return this.#byPath.get(policyPath(service)) ?? NONE;
  }

  /** Tells when another release is in force. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  // One after the other, so that the newest release is the last one taken over.
  #reload(): Promise<void> {
    this.#loading = this.#loading.then(() => this.#load());
    return this.#loading;
  }

  async #load(): Promise<void> {
    const release = this.#source.domains.get(POLICY_DOMAIN)?.record.release ?? 0;
    if (release === this.#release) return;
    try {
      const files = release === 0 ? [] : await this.#source.content(POLICY_DOMAIN, release);
      this.#byPath = new Map(files.map((file) => [file.path, readPolicy(file)]));
      this.#release = release;
      for (const listener of this.#listeners) listener();
    } catch (err) {
      this.#log.error(
        { err, release },
        'the policy of discovery cannot be read; going on as before',
      );
    }
  }
}
