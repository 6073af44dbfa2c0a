import type { Topic } from './registry.js';

/** What YAML reads as itself wherever it stands. */
const PLAIN = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const NOT_TEXT = ['true', 'false', 'null', 'yes', 'no', 'on', 'off', 'y', 'n'];

/** Topics as the part `queues` of malabar.yaml. Each is a line of JSON, which is YAML. */
export function writeYaml(topics: readonly Topic[]): string {
  const byQueue = new Map<string, Topic[]>();
  for (const topic of topics) {
    byQueue.set(topic.queue, [...(byQueue.get(topic.queue) ?? []), topic]);
  }
  const queues = [...byQueue].flatMap(([queue, own]) => [
    `  ${key(queue)}:`,
    '    topics:',
    ...own.map(({ task, document }) => `      ${key(task)}: ${flow(document)}`),
  ]);
  return ['queues:', ...queues, ''].join('\n');
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([name, one]) => `${key(name)}: ${flow(one)}`);
    return `{ ${entries.join(', ')} }`;
  }
  return typeof value === 'string' ? scalar(value) : JSON.stringify(value);
}

function scalar(text: string): string {
  return /^\d+(ms|s|m|h|d)$/.test(text) ? text : key(text);
}

function key(text: string): string {
  const isPlain = PLAIN.test(text) && !NOT_TEXT.includes(text.toLowerCase());
  return isPlain ? text : JSON.stringify(text);
}
