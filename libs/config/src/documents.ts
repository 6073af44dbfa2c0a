import type { KeyFault } from './faults.js';
import { grantFaults, type PersonDocument, personSchema } from './people.js';
import { resultFaults } from './results.js';
import { type ScheduleDocument, scheduleSchema } from './schedule.js';
import { ownQueueFault, scheduleFaults } from './schedule-faults.js';
import {
  count,
  duration,
  type Field,
  later,
  named,
  password,
  section,
  size,
  text,
} from './schema.js';
import type { Secret } from './secret.js';
import { type Settings, settingsFields } from './settings.js';
import { type SourceDocument, sourceSchema } from './source.js';
import { sourceFaults } from './source-config.js';
import { suggestion } from './suggestion.js';
import { type TopicDocument, topic } from './topic.js';
import { quoted } from './units.js';

/** A business system, which owns queues. */
export interface SystemDocument {
  owner?: string;
  description?: string;
}

/** A queue as the file says it, with its defaults. */
export interface QueueDocument {
  system?: string;
  password?: Secret;
  retentionMs: number;
  limits: { body: number; ready: number };
  topics: Record<string, TopicDocument>;
}

/** Everything of the file that the whole bus shares. */
export interface Documents {
  systems: Record<string, SystemDocument>;
  queues: Record<string, QueueDocument>;
  schedules: Record<string, ScheduleDocument>;
  sources: Record<string, SourceDocument>;
  people: Record<string, PersonDocument>;
}

/** A system as the file says it. */
export const systemSchema: Field<SystemDocument> = section({
  owner: text.optional().describe('Who answers for it.'),
  description: text.optional().describe('What it is, for people.'),
}) as Field<SystemDocument>;

// A queue that lost its topics by mistake would take jobs that nobody ever gets.
const topics = named('topic', topic, 'is required; { } for a queue that only keeps its jobs');

/** A queue as the file says it. */
export const queueSchema = section({
  system: text.optional().describe('The system that owns it; one of `systems`.'),
  password: password
    .optional()
    .describe('What producers show: text, `scrypt$...`, or `{ secret: file:/path }`.'),
  retentionMs: duration.prefault('1d').describe('How long settled jobs can be read and replayed.'),
  limits: section({
    body: size.prefault('1MiB').describe('The largest body that is accepted.'),
    ready: count()
      .prefault('5_000_000')
      .describe('Waiting deliveries of a topic at which pushes are refused; 0 for no limit.'),
  }).prefault({}),
  topics,
  shards: later(),
  idempotency: later(),
  ack: later(),
  rate: later(),
}) as Field<QueueDocument>;

/** The whole file. */
export const fileSchema = section({
  ...settingsFields,
  systems: named('system', systemSchema).prefault({}),
  queues: named('queue', queueSchema).prefault({}),
  schedules: named('schedule', scheduleSchema).prefault({}),
  sources: named('source', sourceSchema).prefault({}),
  people: named('user', personSchema).prefault({}),
  stores: later(),
  alarms: later(),
}) as unknown as Field<Settings & Documents>;

/**
 * Faults between documents. Works on the values of the file as they are, so that it finds them also
 * when the schema has found others.
 */
export function crossFaults(values: Record<string, unknown>): KeyFault[] {
  const known = Object.keys(asMapping(values.systems));
  const owned = (['queues', 'schedules'] as const).flatMap((kind) =>
    Object.entries(asMapping(values[kind])).flatMap(([name, document]) => {
      const owner = asMapping(document).system;
      if (typeof owner !== 'string' || known.includes(owner)) return [];
      return [{ path: [kind, name, 'system'], message: noSystem(owner, known) }];
    }),
  );
  const people = asMapping(values.people);
  return [
    ...owned,
    ...resultFaults(asMapping(values.queues)).map(({ path, message }) => ({
      path: ['queues', ...path],
      message,
    })),
    ...timeFaults(values),
    ...originFaults(values),
    ...grantFaults(people, known, (system) => noSystem(system, known)),
  ];
}

/** Faults between schedules and queues. A file without queues leaves them to others. */
function timeFaults(values: Record<string, unknown>): KeyFault[] {
  const [schedules, queues] = [asMapping(values.schedules), Object.keys(asMapping(values.queues))];
  const found = scheduleFaults({ schedules, queues: 'queues' in values ? queues : undefined });
  const taken = queues.flatMap((queue) => {
    const message = ownQueueFault(queue, schedules);
    return message === undefined ? [] : [{ path: ['queues', queue], message }];
  });
  return [
    ...found.map(({ path, message }) => ({ path: ['schedules', ...path], message })),
    ...taken,
  ];
}

/** Faults between sources and queues, as far as the file knows them. */
function originFaults(values: Record<string, unknown>): KeyFault[] {
  const queues = 'queues' in values ? Object.keys(asMapping(values.queues)) : undefined;
  const found = sourceFaults(asMapping(values.sources), queues);
  return found.map(({ path, message }) => ({ path: ['sources', ...path], message }));
}

/** What is wrong with a queue that names a system which is not there. */
export function noSystem(owner: string, known: readonly string[]): string {
  return `${quoted(owner)} is not one of systems${suggestion(owner, known)}`;
}

function asMapping(value: unknown): Record<string, unknown> {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMapping ? (value as Record<string, unknown>) : {};
}
