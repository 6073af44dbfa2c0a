import type { ErrorCode } from '@malabar/core';
import type { Metrics } from '@malabar/telemetry';
import type { SourceFigures } from './source.js';

/** What sources count. */
export interface SourceMetrics {
  taken(source: string, messages: number): void;
  acknowledged(source: string, messages: number): void;
  /** A message could not become a job and was put aside. */
  refused(source: string, code: ErrorCode): void;
  connected(source: string): void;
}

export function createSourceMetrics(metrics: Metrics): SourceMetrics {
  const taken = metrics.counter(
    'malabar_ingest_source_taken_total',
    'Messages that RabbitMQ gave to a source, those that came again included.',
    ['source'],
  );
  const acknowledged = metrics.counter(
    'malabar_ingest_source_acknowledged_total',
    'Messages that became jobs on disk and were acknowledged.',
    ['source'],
  );
  const refused = metrics.counter(
    'malabar_ingest_source_refused_total',
    'Messages that could not become jobs and went to the poison queue, by error code.',
    ['source', 'code'],
  );
  const connected = metrics.counter(
    'malabar_ingest_source_connects_total',
    'Connections to RabbitMQ over which a source could consume.',
    ['source'],
  );
  return {
    taken: (source, messages) => taken.inc({ source }, messages),
    acknowledged: (source, messages) => acknowledged.inc({ source }, messages),
    refused: (source, code) => refused.inc({ source, code }, 1),
    connected: (source) => connected.inc({ source }, 1),
  };
}

/** Gauges that are read when somebody scrapes. */
export function exportSources(metrics: Metrics, read: () => readonly SourceFigures[]): void {
  const gauge = (name: string, help: string, value: (figures: SourceFigures) => number): void => {
    metrics.gauge(name, help, {
      labels: ['source'],
      collect: (gauge) => {
        gauge.reset();
        for (const figures of read()) gauge.set({ source: figures.name }, value(figures));
      },
    });
  };
  gauge('malabar_ingest_source_connected', '1 while a source consumes.', ({ connected }) =>
    Number(connected),
  );
  gauge(
    'malabar_ingest_source_waiting',
    '1 while a source makes no jobs: it is not connected, or they cannot be taken.',
    ({ waiting }) => Number(waiting !== ''),
  );
  gauge(
    'malabar_ingest_source_held_messages',
    'Messages that a source holds and has not acknowledged.',
    ({ held }) => held,
  );
}
