import { setTimeout as pause } from 'node:timers/promises';
import { election } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { type Client, connect } from '@malabar/rpc';

const TTL_MS = 2000;

type ElectionService = Client<typeof election.ElectionServiceDefinition>;

/** One time that somebody led, as he saw it. */
export interface Holding {
  name: string;
  token: number;
  holder: string;
  /** When he asked, and when he heard that he leads. */
  askedAtMs: number;
  fromMs: number;
  /** Until when he may have believed it. */
  toMs: number;
}

/** Somebody who wants to lead, does for a while, and gives up, fairly or as if he had died. */
export class Candidate {
  #stopped = false;
  #done: Promise<void> | undefined;
  #lives = 0;

  constructor(
    private readonly options: {
      name: string;
      id: string;
      addresses: readonly string[];
      random: () => number;
      history: Holding[];
    },
  ) {}

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const { addresses, random } = this.options;
    const services = addresses.map((address) =>
      connect(election.ElectionServiceDefinition, { address }),
    );
    while (!this.#stopped) {
      const any = services[Math.floor(random() * services.length)] as ElectionService;
      const holding = await this.#ask(any);
      if (holding === undefined) await pause(50 + random() * 200);
      else await this.#lead(holding, services);
    }
    for (const service of services) service.close();
  }

  async #ask(service: ElectionService): Promise<Holding | undefined> {
    const { name, id, history } = this.options;
    // Of an attempt without an answer nobody knows whether it leads: the next one is somebody else's.
    const holder = `${id}/${this.#lives}`;
    const askedAtMs = performance.now();
    try {
      const { token } = await service.acquire({ name, holder, ttlMs: TTL_MS });
      if (token === 0) return undefined;
      const toMs = askedAtMs + TTL_MS;
      const holding = { name, token, holder, askedAtMs, fromMs: performance.now(), toMs };
      history.push(holding);
      return holding;
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      this.#lives++;
      return undefined;
    }
  }

  async #lead(holding: Holding, services: readonly ElectionService[]): Promise<void> {
    const { random } = this.options;
    const endAtMs = performance.now() + 500 + random() * 4000;
    this.#lives++;
    while (!this.#stopped && performance.now() < Math.min(endAtMs, holding.toMs)) {
      await pause(TTL_MS / 4);
      const any = services[Math.floor(random() * services.length)] as ElectionService;
      if (!(await renewed(holding, any))) return;
    }
    if (random() < 0.5) return;
    const any = services[Math.floor(random() * services.length)] as ElectionService;
    holding.toMs = Math.min(holding.toMs, performance.now());
    await any.release(holding).catch(() => undefined);
  }
}

/** False if he was told that he does not lead any more. */
async function renewed(holding: Holding, service: ElectionService): Promise<boolean> {
  const sentAtMs = performance.now();
  if (sentAtMs > holding.toMs) return false;
  try {
    await service.renew(holding, { timeoutMs: TTL_MS });
    holding.toMs = sentAtMs + TTL_MS;
    return true;
  } catch (error) {
    if (error instanceof BusError && error.code === 'STALE_LEASE') {
      holding.toMs = Math.min(holding.toMs, performance.now());
      return false;
    }
    return true;
  }
}

/** What a history of elections says that must not be. */
export function electionFaults(history: readonly Holding[]): string[] {
  const faults: string[] = [];
  for (const [i, one] of history.entries())
    for (const other of history.slice(i + 1)) {
      if (one.name !== other.name) continue;
      const [first, second] = one.token <= other.token ? [one, other] : [other, one];
      const both = `${shown(first)} and ${shown(second)}`;
      if (first.token === second.token) faults.push(`the same token: ${both}`);
      else if (second.fromMs < first.askedAtMs) faults.push(`the token went down: ${both}`);
      else if (second.fromMs < first.toMs) faults.push(`two led at once: ${both}`);
    }
  return faults;
}

const shown = ({ name, token, holder, fromMs, toMs }: Holding): string =>
  `${name} ${token} of ${holder} (${Math.round(fromMs)} to ${Math.round(toMs)} ms)`;
