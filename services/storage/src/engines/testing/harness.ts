import { onTestFinished, test } from 'vitest';
import type { Engine, Key, LogEntry, WriteBatch } from '../../engine.js';

/** What an engine may lack, if its declaration says why. */
export type Capability =
  /** Its room can be limited, so that commits are refused with DISK_FULL. */
  | 'limitedRoom'
  /** Another owner can open it while the earlier one still runs. */
  | 'takeOver';

/** An engine as the suite sees it. */
export interface EngineUnderTest {
  name: string;
  /** A new place without data. The suite closes every engine that it has opened there. */
  place(): Promise<EnginePlace>;
  /** Each capability that it lacks, with the reason; the tests that need it are skipped and say so. */
  lacks?: Partial<Record<Capability, string>>;
}

/** Where an engine keeps its data; outlives the engines that are opened on it. */
export interface EnginePlace {
  /** An engine on this place, not yet opened. */
  engine(): Engine;
  /** limitedRoom: an engine that refuses with DISK_FULL when it holds somewhat more than `bytes`. */
  limited?(bytes: number): Engine;
  /** takeOver: lets another owner in although the earlier one has not closed. */
  unlock?(): void;
}

/** A test that runs where the engine has what it needs. */
export function testWith(engine: EngineUnderTest, needed?: Capability): typeof test {
  const reason = needed && engine.lacks?.[needed];
  if (reason !== undefined) console.warn(`${engine.name}: tests skipped: ${reason}`);
  return test.skipIf(reason !== undefined) as typeof test;
}

/** Opens an engine and closes it when the test is over. */
export async function opened(engine: Engine): Promise<Engine> {
  await engine.open();
  onTestFinished(() => engine.close());
  return engine;
}

/** An opened engine on a new place. */
export const fresh = async ({ place }: EngineUnderTest): Promise<Engine> =>
  opened((await place()).engine());

/** A batch of what is given. */
export function batch(parts: {
  appends?: LogEntry[];
  state?: Record<Key, Uint8Array | string | undefined>;
  drops?: WriteBatch['drops'];
}): WriteBatch {
  const state = Object.entries(parts.state ?? {}).map(
    ([key, value]): [Key, Uint8Array | undefined] => [
      key,
      typeof value === 'string' ? Buffer.from(value) : value,
    ],
  );
  return { appends: parts.appends ?? [], state: new Map(state), drops: parts.drops ?? [] };
}

export const entry = (shard: number, firstSeq: number, text: string | Uint8Array): LogEntry => ({
  shard,
  firstSeq,
  bytes: Buffer.from(text as string),
});

/** A log record as `shard:firstSeq=text`, so that a failed expectation can be read. */
export const shown = (found: LogEntry | undefined): string | undefined =>
  found && `${found.shard}:${found.firstSeq}=${Buffer.from(found.bytes)}`;

export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString();

/** All state records as text, in the order in which the engine gives them. */
export async function allState(engine: Engine): Promise<string[]> {
  const found = await engine.scan({ start: '\x01', end: '\xff\xff\xff', limit: 1_000_000 });
  return found.map(([key, value]) => `${key}=${text(value)}`);
}

/** The whole log of a shard. */
export async function allLog(engine: Engine, shard: number): Promise<string[]> {
  const all: string[] = [];
  let found = await engine.nextLog(shard, 0);
  while (found !== undefined) {
    all.push(shown(found) as string);
    found = await engine.nextLog(shard, found.firstSeq + 1);
  }
  return all;
}
