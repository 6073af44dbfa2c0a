import { setTimeout as pause } from 'node:timers/promises';
import { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { connect } from '@malabar/rpc';

export type ConfigService = ReturnType<typeof configClient>;

/** The file whose one value every release sets. */
export const FILE = '/app.conf';
const KEY = 'value';
const PAGE = 500;
const CHECKS_AT_ONCE = 16;
const ARREARS_MS = 30_000;

/** A client that begins with one keeper and goes on with the next when that one is away. */
export function configClient(addresses: readonly string[], first: number) {
  const order = addresses.map((_, i) => addresses[(first + i) % addresses.length] as string);
  return connect(config.ConfigServiceDefinition, { address: async () => order });
}

/** Keeps what keepers have acknowledged, and finds out whether it is still so. */
export class ReleaseLedger {
  /** By domain and number: what the release was to say. */
  readonly #acknowledged = new Map<string, Map<number, string>>();
  readonly faults: string[] = [];
  acknowledged = 0;
  conflicts = 0;
  /** Writes of which nobody heard what became of them. */
  unknown = 0;

  constructor(readonly domains: readonly string[]) {
    for (const domain of domains) this.#acknowledged.set(domain, new Map());
  }

  /** All that was tried. */
  get written(): number {
    return this.acknowledged + this.conflicts + this.unknown;
  }

  accept({ domain, number }: config.Release, value: string): void {
    const releases = this.#acknowledged.get(domain) as Map<number, string>;
    const other = releases.get(number);
    if (other !== undefined) this.faults.push(`${domain} ${number} is of ${other} and ${value}`);
    releases.set(number, value);
    this.acknowledged++;
  }

  /** Every acknowledged release is in the history, by its author's note, with its content. */
  async check(service: ConfigService): Promise<string[]> {
    for (const [domain, acknowledged] of this.#acknowledged) {
      const notes = await readHistory(service, domain);
      const wanted = [...acknowledged];
      for (const [number, value] of wanted)
        if (notes.get(number) !== value)
          this.faults.push(`${domain} ${number} is lost: ${value}, not ${notes.get(number)}`);
      while (wanted.length > 0)
        await Promise.all(
          wanted.splice(0, CHECKS_AT_ONCE).map(async ([number, value]) => {
            const found = await contentOf(service, domain, number);
            if (found !== value) this.faults.push(`${domain} ${number} has ${found}, not ${value}`);
          }),
        );
    }
    return this.faults;
  }
}

async function readHistory(service: ConfigService, domain: string): Promise<Map<number, string>> {
  const notes = new Map<number, string>();
  for (let before = 0; ; ) {
    const { releases } = await service.listReleases({ domain, before, limit: PAGE });
    for (const { number, note } of releases) notes.set(number, note);
    const last = releases.at(-1);
    if (last === undefined || releases.length < PAGE) return notes;
    before = last.number;
  }
}

async function contentOf(
  service: ConfigService,
  domain: string,
  release: number,
): Promise<string | undefined> {
  const state: config.StateRef = { state: { $case: 'release', value: release } };
  const { files } = await service.getFiles({ domain, state, path: FILE, reveal: false });
  return files[0]?.sections[0]?.entries.find(({ key }) => key === KEY)?.raw;
}

/** Publishes releases of a domain, each compared with the one before, until it is stopped. */
export class Writer {
  #stopped = false;
  #done: Promise<void> | undefined;

  constructor(
    private readonly options: {
      name: string;
      domain: string;
      service: ConfigService;
      ledger: ReleaseLedger;
      everyMs: number;
    },
  ) {}

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.options.service.close();
  }

  async #run(): Promise<void> {
    const { name, everyMs } = this.options;
    let release: number | undefined;
    let due = performance.now();
    for (let n = 1; !this.#stopped; n++) {
      release = await this.#publish(`${name}/${n}`, release);
      // What an outage has kept it from writing it makes good for, up to a point.
      due = Math.max(due + everyMs, performance.now() - ARREARS_MS);
      await pause(Math.max(0, due - performance.now()));
    }
  }

  /** The release to compare the next one with; undefined if it must be asked for. */
  async #publish(value: string, seen: number | undefined): Promise<number | undefined> {
    const { domain, service, ledger } = this.options;
    try {
      const expectedRelease = seen ?? (await this.#releaseInForce());
      const { release } = await service.publish(publication(domain, value, expectedRelease));
      ledger.accept(release as config.Release, value);
      return release?.number;
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      if (error.code === 'CONFLICT') ledger.conflicts++;
      else if (error.retryable) ledger.unknown++;
      else ledger.faults.push(`${value}: ${error.code} ${error.message}`);
      return undefined;
    }
  }

  async #releaseInForce(): Promise<number> {
    const { domain, service } = this.options;
    return (await service.getDomain({ domain })).domain?.release ?? 0;
  }
}

function publication(
  domain: string,
  value: string,
  expectedRelease: number,
): config.PublishRequest {
  const setKey = { file: FILE, section: '', key: KEY, type: 'string', raw: value };
  const operation: config.Operation['operation'] = { $case: 'setKey', value: setKey };
  return {
    domain,
    expectedRelease,
    draftRevision: 0,
    operations: [{ operation }],
    canary: undefined,
    note: value,
  };
}
