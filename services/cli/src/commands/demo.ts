import { loadConfig, type MalabarConfig } from '@malabar/config';
import { storage } from '@malabar/contracts';
import { type Client, connect } from '@malabar/rpc';
import { start } from '@malabar/runtime';
import { Command } from 'commander';
import type { CommandContext } from '../context.js';
import {
  type Consumers,
  consumerListeners,
  httpConfigFile,
  startHttpConsumers,
  startPhpConsumer,
} from '../demo/consumers.js';
import { introduce, suggest } from '../demo/guide.js';
import { createStory, type Story } from '../demo/story.js';
import { countWaiting, untilReady, walk } from '../demo/walk.js';
import { plural } from '../format.js';
import { assertFree, listenersOf } from '../listeners.js';
import { modules } from '../module.js';
import { collect, settingFlags } from '../settings.js';
import type { Terminal } from '../terminal.js';

interface DemoOptions {
  config?: string;
  php?: boolean;
  set: string[];
}

const EXAMPLES = `
Examples:
  malabar demo
  malabar demo --php                                        php-fpm is the consumer
  malabar demo --set ingest.redis.listen=127.0.0.1:6381     another port`;

export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .description('run a bus with a demo queue and consumers, and tell what happens (`make run`)')
    .option('--config <file>', 'configuration of the demo (default: deploy/demo/malabar.yaml)')
    .option('--php', 'deliver to php-fpm, which must be installed')
    .option('--set <key=value>', 'override one setting; may be repeated', collect, [])
    .addHelpText('after', EXAMPLES)
    .action((options: DemoOptions) => demo(context, options));
}

/** A bus that runs and what must stop behind it. */
interface Stage {
  config: MalabarConfig;
  configFile: string;
  consumers: Consumers;
}

async function demo(context: CommandContext, options: DemoOptions): Promise<void> {
  const stopped = context.untilStopped();
  const story = createStory(context.terminal, context.clock);
  const stage = options.php
    ? await setPhpStage(context, options)
    : await setHttpStage(context, options, story);
  try {
    await play(context, stage, story, stopped);
  } finally {
    await stage.consumers.stop();
  }
}

async function setHttpStage(
  context: CommandContext,
  options: DemoOptions,
  story: Story,
): Promise<Stage> {
  const file = options.config ?? httpConfigFile;
  const config = loadConfig({ file, env: context.env, flags: settingFlags(options.set) });
  await assertFree(
    [...listenersOf(config), ...consumerListeners(config)],
    (settings) => `make run ARGS='${settings}'`,
  );
  const consumers = await startHttpConsumers(config, story);
  return { config, configFile: file, consumers };
}

async function setPhpStage(context: CommandContext, options: DemoOptions): Promise<Stage> {
  const consumer = await startPhpConsumer(context);
  try {
    const file = consumer.configFile;
    const config = loadConfig({ file, env: context.env, flags: settingFlags(options.set) });
    await assertFree(listenersOf(config), (settings) => `make run-php ARGS='${settings}'`);
    return { config, configFile: file, consumers: consumer };
  } catch (error) {
    await consumer.stop();
    throw error;
  }
}

async function play(
  context: CommandContext,
  { config, configFile }: Stage,
  story: Story,
  stopped: Promise<unknown>,
): Promise<void> {
  const { terminal, clock } = context;
  const running = await start({ modules, config, configFile });
  const address = running.grpcAddress;
  const client = connect(storage.StorageServiceDefinition, { address, token: config.grpc.token });
  const setting = { config, configFile, command: 'npx malabar' };
  const over = new AbortController();
  const { signal } = over;
  try {
    await untilReady(running.opsAddress, clock);
    introduce(terminal, setting);
    const redis = config.ingest.redis.listen;
    const told = walk({ terminal, clock, story, storage: client, redis, signal });
    await Promise.race([told.then(() => suggest(terminal, setting)), stopped]);
    await stopped;
    over.abort();
    await farewell(terminal, client);
  } finally {
    client.close();
    await running.stop();
  }
  terminal.line('Stopped.');
}

/** Says what the disk keeps for the next start. */
async function farewell(
  terminal: Terminal,
  client: Client<storage.StorageServiceDefinition>,
): Promise<void> {
  const waiting = await countWaiting(client);
  const kept =
    waiting === 0
      ? 'everything is delivered'
      : `${plural(waiting, 'delivery is', 'deliveries are')} kept`;
  terminal.line();
  terminal.line(`Draining: ${kept}.`);
}
