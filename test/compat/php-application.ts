import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { common, type storage } from '@malabar/contracts';
import { eventually, freePort, php, type Server, spawnServer, tempDir } from '@malabar/testkit';
import { expect } from 'vitest';
import type { Bus } from '../harness/bus.js';

const SDK = fileURLToPath(new URL('./php/pepperbus-sdk/', import.meta.url));
export const PLAIN = fileURLToPath(new URL('./php/plain.php', import.meta.url));
export const PASSWORD = 's3cret';

/** The entry script of an application on the SDK that serves these topics (`queue/topic`). */
export function entryScript(topics: readonly string[], file = join(tempDir('php'), 'entry.php')) {
  const consume = JSON.stringify(join(SDK, 'consume.php'));
  writeFileSync(file, `<?php $topics = ${JSON.stringify(topics)}; require ${consume};`);
  return file;
}

/** The application behind PHP's own web server, which answers one request after the other. */
export async function phpWeb(script: string): Promise<Server & { url: string }> {
  const address = `127.0.0.1:${await freePort()}`;
  const quiet = ['-d', 'display_errors=0', '-d', 'log_errors=1'];
  const url = `http://${address}/run`;
  const server = await spawnServer({
    command: 'php8.2',
    args: [...quiet, '-S', address, script],
    ready: () => fetch(url).then((response) => response.arrayBuffer()),
  });
  return { ...server, url };
}

/** Pushes with the SDK's own client over the pepperbus port; returns the ids that it was told. */
export async function produce(bus: Bus, queue: string, ...contents: object[]): Promise<string[]> {
  const jobs = contents.map((content) => JSON.stringify(content));
  const args = ['127.0.0.1', `${bus.ports.pepperbus}`, queue, PASSWORD, ...jobs];
  const { stdout, stderr } = await php([join(SDK, 'produce.php'), ...args]);
  expect(stderr).toBe('');
  return stdout.trim().split('\n').map(acceptedId);
}

/** The id in the gateway's answer to one LPUSH. */
function acceptedId(answer: string): string {
  const { jobs, error } = JSON.parse(answer);
  expect(error).toBe('');
  return jobs[0];
}

/** Runs a piece of PHP with the SDK's client at hand as `$client`. */
export async function withClient(bus: Bus, code: string): Promise<string> {
  const setup = `require '${SDK}Client.php'; $client = new PepperBus\\Client('127.0.0.1', ${bus.ports.pepperbus});`;
  const { stdout, stderr } = await php(['-r', `${setup} ${code}`]);
  expect(stderr).toBe('');
  return stdout;
}

/** The only delivery of a job whose queue has one topic. */
export async function deliveryOf(bus: Bus, jobId: string): Promise<storage.Delivery> {
  const { deliveries } = await bus.storage.getJob({ jobId });
  expect(deliveries).toHaveLength(1);
  return deliveries[0] as storage.Delivery;
}

/** The job's delivery when it is done or dead. */
export function ended(bus: Bus, jobId: string): Promise<storage.Delivery> {
  const { DONE, DEAD } = common.DeliveryState;
  return eventually(
    async () => {
      const delivery = await deliveryOf(bus, jobId);
      expect([DONE, DEAD]).toContain(delivery.state);
      return delivery;
    },
    { timeoutMs: 20_000, everyMs: 20 },
  );
}

/** One line of what act.php writes down when a job starts. */
export interface Start {
  id: string;
  try: number;
  path: string;
  n: number | null;
  pid: number;
  /** Further things that the application says of itself. */
  [further: string]: unknown;
}

/** A file for the `record` of jobs, and what it holds. */
export function recordFile(): { record: string; starts(): Start[] } {
  const record = join(tempDir('record'), 'starts');
  const lines = () => (existsSync(record) ? readFileSync(record, 'utf8').split('\n') : []);
  return {
    record,
    starts: () =>
      lines()
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
  };
}
