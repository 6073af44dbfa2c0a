import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MalabarConfig } from '@malabar/config';
import type { CommandContext } from '../context.js';
import type { Listener } from '../listeners.js';
import { type Consumer, startConsumer, type Work } from './consumer.js';
import { startPhpFpm } from './php-fpm.js';
import type { Story } from './story.js';

const DEMO = fileURLToPath(new URL('../../../../deploy/demo/', import.meta.url));

/** What `make run` starts beside the bus. */
export interface Consumers {
  stop(): Promise<void>;
}

/** The configuration of the demo over HTTP. */
export const httpConfigFile = join(DEMO, 'malabar.yaml');

const FAILURES = 2;
const FAULTS = ['451 mailbox busy, try again later', 'greylisted, come back in a moment'];

/** How the demo's topics work, by name: one always says yes, one says no twice. */
function works(story: Story): Record<string, Work> {
  return {
    ship(job) {
      story.yes('ship', job, job.attempt);
      return undefined;
    },
    mail(job) {
      const fault = job.attempt <= FAILURES ? FAULTS[job.attempt - 1] : undefined;
      if (fault === undefined) story.yes('mail', job, job.attempt);
      else story.no('mail', job, job.attempt, fault);
      return fault;
    },
  };
}

/** The HTTP targets of the configuration, each with the topic that it serves. */
function httpTargets({ documents }: MalabarConfig): { topic: string; url: string }[] {
  return Object.values(documents.queues).flatMap(({ topics }) =>
    Object.entries(topics).flatMap(([topic, { target }]) =>
      target.kind === 'http' ? [{ topic, url: target.http.url }] : [],
    ),
  );
}

/** The addresses that the HTTP consumers will listen on. */
export function consumerListeners(config: MalabarConfig): Listener[] {
  return httpTargets(config).map(({ topic, url }) => ({
    key: `the target of demo/${topic} in deploy/demo/malabar.yaml`,
    fixed: true,
    address: new URL(url).host,
  }));
}

/** Starts the consumers of the demo's topics at the addresses that its configuration names. */
export async function startHttpConsumers(config: MalabarConfig, story: Story): Promise<Consumers> {
  const known = works(story);
  const started: Consumer[] = [];
  for (const { topic, url } of httpTargets(config)) {
    const work = known[topic];
    if (work) started.push(await startConsumer(url, work));
  }
  return {
    async stop() {
      await Promise.all(started.map((each) => each.close()));
    },
  };
}

/** Starts php-fpm and writes the configuration that delivers to it; the consumer is PHP. */
export async function startPhpConsumer(
  context: CommandContext,
): Promise<Consumers & { configFile: string }> {
  const { terminal, env, clock, cwd } = context;
  const dir = resolve(cwd, '.malabar/demo-php');
  const fpm = await startPhpFpm(dir, env, clock, (line) => terminal.line(`php-fpm: ${line}`));
  const configFile = join(dir, 'malabar.yaml');
  mkdirSync(dir, { recursive: true });
  writeFileSync(configFile, phpConfig(dir, `${fpm.address}${join(DEMO, 'consumer.php')}`));
  return { configFile, stop: () => fpm.stop() };
}

function phpConfig(dir: string, target: string): string {
  return `# Written by \`malabar demo --php\`. Change something and save it: the running demo follows.
data: ${JSON.stringify(dir)}
log: { level: warn, pretty: true }
queues:
  demo:
    retention: 1d
    topics:
      php:
        target: ${JSON.stringify(`fastcgi://${target}`)}
        # Below pm.max_children of the pool.
        concurrency: 3
        timeout: 10s
        retry: { attempts: 5, backoff: exponential, min: 500ms, max: 5s, jitter: 0.2 }
`;
}
