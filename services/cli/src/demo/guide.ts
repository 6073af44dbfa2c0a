import { relative } from 'node:path';
import type { Documents, MalabarConfig, TargetDocument } from '@malabar/config';
import { parseListenAddress, SERVICE_NAMES } from '@malabar/core';
import { defaultOpsListen } from '@malabar/runtime';
import type { Terminal } from '../terminal.js';

/** What the demo runs on, for the words around it. */
export interface DemoSetting {
  config: MalabarConfig;
  configFile: string;
  /** How a user calls this command, e.g. `npx malabar`. */
  command: string;
}

/** Says what was started and where it listens. */
export function introduce(terminal: Terminal, { config, configFile }: DemoSetting): void {
  const { redis, http } = config.ingest;
  terminal.line(
    terminal.style('bold', 'Malabar runs: all services in this process, jobs on disk.'),
  );
  terminal.line();
  const rows = [
    ['redis', redis.listen],
    ['http', `http://${http.listen}`],
    ['metrics', `http://${config.ops.listen ?? defaultOpsListen(SERVICE_NAMES)}/metrics`],
    ['data', config.data],
    ['config', shown(configFile)],
    ...topicRows(config.documents),
  ];
  for (const [name = '', value = ''] of rows) {
    terminal.line(`  ${terminal.style('dim', name.padEnd(10))}  ${value}`);
  }
  terminal.line();
}

function topicRows({ queues }: Documents): string[][] {
  return Object.entries(queues).flatMap(([queue, { topics }]) =>
    Object.entries(topics).map(([topic, { target }]) => [
      `${queue}/${topic}`,
      `-> ${targetText(target)}`,
    ]),
  );
}

function targetText(target: TargetDocument): string {
  if (target.kind === 'http') return target.http.url;
  if (target.kind !== 'fastcgi') return target.kind;
  const { script, address } = target.fastcgi;
  return `${shown(script)} at ${shown(address.replace(/^unix:/, ''))}`;
}

/** A path as short as it can be from here. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

/** What to try next, with the ports of this very run. */
export function suggest(terminal: Terminal, { config, configFile, command }: DemoSetting): void {
  const { redis, http } = config.ingest;
  const { host, port } = parseListenAddress(redis.listen);
  const php = `$r = new Redis(); $r->connect('${host}', ${port}); $r->lPush('demo', '{"order":"B-3"}');`;
  terminal.line(terminal.style('bold', 'Now you, in another terminal:'));
  terminal.line();
  for (const [name = '', text = ''] of [
    ['redis-cli', `redis-cli -p ${port} LPUSH demo '{"order":"B-1"}'`],
    ['curl', `curl -d '{"order":"B-2"}' http://${http.listen}/v1/queues/demo/jobs`],
    ['PHP', php],
    ['look', `${command} queues`],
    ['', `${command} jobs list --topic demo/${firstTopic(config)} --state done`],
    ['change', `edit ${shown(configFile)} and save: the running bus follows`],
  ]) {
    terminal.line(`  ${terminal.style('dim', name.padEnd(9))}  ${text}`);
  }
  terminal.line();
  terminal.line('Ctrl-C stops it. What is not done yet is kept; started again, it goes on.');
  terminal.line();
}

function firstTopic({ documents }: MalabarConfig): string {
  return Object.keys(documents.queues.demo?.topics ?? {})[0] ?? '';
}
