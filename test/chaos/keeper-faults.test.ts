import {
  type ConfigSubscription,
  type KeeperClient,
  openKeeperClient,
} from '@malabar/keeper-client';
import { eventually, needs, packages, seededRandom } from '@malabar/testkit';
import { checksumOf } from '@malabar/typed-config';
import { expect, test } from 'vitest';
import { type Keepers, startKeepers } from '../harness/keepers.js';
import { Candidate, electionFaults, type Holding } from './candidates.js';
import { Trouble } from './keeper-trouble.js';
import { type ConfigService, configClient, FILE, ReleaseLedger, Writer } from './release-ledger.js';

/** How long there is trouble; the acceptance of the project asks for two minutes. */
const SECONDS = Number(process.env.KEEPER_FAULT_SECONDS ?? 120);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const NODES = 200;
const DOMAINS = 20;
const WRITERS_PER_DOMAIN = 2;
const WRITES_PER_SECOND = 100;
const ELECTIONS = 3;
const CANDIDATES_PER_ELECTION = 4;

const SETTINGS = [
  'keeper.secret_key=0123456789abcdef0123456789abcdef',
  'keeper.history=1000000',
  'keeper.reconcile=2s',
];

needs(test, await packages.etcd())(
  'three keepers on etcd lose no release and elect one leader, whatever is killed, cut and compacted',
  { timeout: (SECONDS + 300) * 1000 },
  async () => {
    const random = seededRandom(SEED);
    const keepers = await startKeepers({ count: 3, settings: SETTINGS });
    const service = configClient(keepers.addresses, 0);
    const nodes: Node[] = [];
    try {
      const ledger = new ReleaseLedger(await makeDomains(service));
      nodes.push(...(await startNodes(keepers, ledger.domains)));
      const writers = startWriters(keepers, ledger);
      const history: Holding[] = [];
      const candidates = startCandidates(keepers, history, random);
      const trouble = new Trouble(keepers, random);
      await trouble.makeFor(SECONDS * 1000);
      await Promise.all([...writers, ...candidates].map((each) => each.stop()));
      const settledMs = await settled(nodes, service);
      report({ ledger, history, trouble, settledMs });
      expect(await ledger.check(service)).toEqual([]);
      expect(electionFaults(history)).toEqual([]);
      expect(ledger.acknowledged).toBeGreaterThan(SECONDS * 10);
      expect(history.length).toBeGreaterThan(SECONDS / 10);
    } finally {
      await Promise.all(nodes.map(({ client }) => client.close()));
      service.close();
      await keepers.stop();
    }
  },
);

async function makeDomains(service: ConfigService): Promise<string[]> {
  const domains = Array.from({ length: DOMAINS }, (_, i) => `domain-${i}`);
  const settings = { system: '', description: '', fourEyes: false, history: 0 };
  for (const domain of domains) await service.putDomain({ domain, settings, settingsRevision: 0 });
  return domains;
}

interface Node {
  id: string;
  client: KeeperClient;
  followed: ConfigSubscription;
}

async function startNodes({ addresses }: Keepers, domains: readonly string[]): Promise<Node[]> {
  return Array.from({ length: NODES }, (_, i) => {
    const id = `node-${i}`;
    const client = openKeeperClient({ addresses, nodeId: id });
    const domain = domains[i % domains.length] as string;
    const followed = client.config.subscribe({ domain, subscriptions: [FILE] });
    return { id, client, followed };
  });
}

function startWriters({ addresses }: Keepers, ledger: ReleaseLedger): Writer[] {
  const count = DOMAINS * WRITERS_PER_DOMAIN;
  return Array.from({ length: count }, (_, i) => {
    const writer = new Writer({
      name: `writer-${i}`,
      domain: ledger.domains[i % DOMAINS] as string,
      service: configClient(addresses, i % 7),
      ledger,
      everyMs: (1000 * count) / WRITES_PER_SECOND,
    });
    writer.start();
    return writer;
  });
}

function startCandidates(
  { addresses }: Keepers,
  history: Holding[],
  random: () => number,
): Candidate[] {
  return Array.from({ length: ELECTIONS * CANDIDATES_PER_ELECTION }, (_, i) => {
    const name = `shard/${i % ELECTIONS}`;
    const candidate = new Candidate({ name, id: `c${i}`, addresses, random, history });
    candidate.start();
    return candidate;
  });
}

/** Waits until every node runs the last release of its domain; how long that took. */
async function settled(nodes: readonly Node[], service: ConfigService): Promise<number> {
  const startedAt = performance.now();
  const behind = () => nodesBehind(nodes, service);
  await eventually(async () => expect(await behind()).toEqual([]), { timeoutMs: 60_000 });
  return performance.now() - startedAt;
}

async function nodesBehind(nodes: readonly Node[], service: ConfigService): Promise<string[]> {
  const behind: string[] = [];
  const subscriptions = [{ file: FILE, section: '', verbatim: false }];
  for (const { id, followed } of nodes) {
    const { domain, current } = followed;
    const asked = { domain, state: undefined, nodeId: id, subscriptions };
    const { config } = await service.getEffective(asked);
    const checksum = checksumOf(config?.files ?? []);
    if (config?.release !== current?.release || checksum !== current?.checksum)
      behind.push(`${id}: ${current?.release} of ${domain}, not ${config?.release}`);
  }
  return behind;
}

function report(seen: {
  ledger: ReleaseLedger;
  history: Holding[];
  trouble: Trouble;
  settledMs: number;
}): void {
  const { written, acknowledged, conflicts, unknown } = seen.ledger;
  const trouble = Object.entries(seen.trouble.counts).map(([name, count]) => `${name} ${count}×`);
  console.log(
    `keepers for ${SECONDS} s, seed ${SEED}: ${Math.round(written / SECONDS)} writes/s, ${acknowledged} ` +
      `acknowledged, ${conflicts} conflicts, ${unknown} of unknown outcome; ${seen.history.length} holdings; ${trouble.join(', ')}; ` +
      `all ${NODES} nodes up to date after ${Math.round(seen.settledMs)} ms`,
  );
}
