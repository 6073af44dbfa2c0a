import { fileURLToPath } from 'node:url';
import { php, type Server, spawnServer } from '@malabar/testkit';
import { expect } from 'vitest';
import type { Bus } from '../harness/bus.js';

/** The composer package. */
export const PACKAGE = fileURLToPath(new URL('../../libs/sdk-php/', import.meta.url));
/** An application on it, whose tasks do what the event says (Act.php). */
export const APPLICATION = fileURLToPath(new URL('./php/sdk/', import.meta.url));

const USES = [
  'Batch',
  'Bus',
  'ConnectionException',
  'Context',
  'Event',
  'Idempotent',
  'PublishException',
  'RefusedException',
  'Registry',
];

/** Runs PHP code with the package at hand; returns what it printed. */
export async function phpCode(code: string): Promise<string> {
  const uses = USES.map((name) => `use Malabar\\${name};`).join(' ');
  const setup = `require '${PACKAGE}autoload.php'; error_reporting(E_ALL);`;
  const { stdout, stderr } = await php(['-r', `${uses} ${setup} ${code}`]);
  expect(stderr).toBe('');
  return stdout;
}

/** A PHP expression for a value that JSON can hold. */
export function phpValue(value: unknown): string {
  const json = Buffer.from(JSON.stringify(value)).toString('base64');
  return `json_decode(base64_decode('${json}'), true)`;
}

/** Publishes one event for each of the parameters, in one pipeline; returns the jobs' ids. */
export async function publish(bus: Bus, event: string, ...params: object[]): Promise<string[]> {
  const events = params.map((each) => `Event::name('${event}')->with(${phpValue(each)})`);
  const address = `Bus::configure(['address' => '127.0.0.1:${bus.ports.redis}']);`;
  const ids = `echo implode(' ', Event::publishAll([${events.join(', ')}]));`;
  return (await phpCode(`${address} ${ids}`)).split(' ');
}

export interface WorkerOptions {
  bus: Bus;
  /** Arguments of malabar-worker behind `--bootstrap`. */
  args: readonly string[];
  bootstrap?: string;
  /** Further settings of php.ini. */
  ini?: readonly string[];
}

/** A real malabar-worker; it ends with the test that stops it. */
export function startWorker({ bus, args, bootstrap, ini }: WorkerOptions): Promise<Server> {
  const settings = ['memory_limit=64M', 'display_errors=0', ...(ini ?? [])];
  const flags = settings.flatMap((setting) => ['-d', setting]);
  const file = bootstrap ?? `${APPLICATION}tasks.php`;
  return spawnServer({
    command: 'php8.2',
    args: [...flags, `${PACKAGE}bin/malabar-worker`, '--bootstrap', file, ...args],
    env: { BUS: `127.0.0.1:${bus.ports.redis}` },
    ready: () => true,
  });
}
