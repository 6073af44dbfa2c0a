export {
  AGENT_FORMATS,
  type AgentConfig,
  type AgentDomain,
  type AgentFormat,
  type AgentOutput,
  parseMode,
  readAgentConfig,
} from './agent.js';
export {
  BUS_DOMAIN,
  type DocumentsToFilesOptions,
  documentsToFiles,
  QUEUES_FILE,
  SCHEDULES_FILE,
  SOURCES_FILE,
  SYSTEMS_FILE,
} from './bus-files.js';
export { withHashes } from './bus-form.js';
export { type BusFilesOptions, BusFilesReader, filesToBusConfig } from './bus-read.js';
export type { CommandDocument } from './command.js';
export type { Documents, QueueDocument, SystemDocument } from './documents.js';
export { changedSettings, maskConfig, printConfig } from './effective.js';
export { ConfigError, type ConfigFault, formatFault, type KeyFault } from './faults.js';
export {
  JOURNAL_QUEUE,
  JOURNAL_TOPIC,
  RESULTS_QUEUE,
  RESULTS_TOPIC,
  RUN_TOPIC,
} from './implied-queues.js';
export { type ConfigSources, type LoadedConfig, loadConfig, readConfig } from './load.js';
export { createPasswordHashes, type PasswordHashes } from './password-hashes.js';
export { type PersonDocument, peopleSections } from './people.js';
export type {
  AfterDocument,
  OverlapName,
  PushDocument,
  ScheduleDocument,
} from './schedule.js';
export { parentsOf, runQueue, scheduleSpec, scheduleSpecs, testQueue } from './schedule-config.js';
export { type ReadSchedule, readSchedule, readScheduleDocument } from './schedule-read.js';
export { type Environment, Secret } from './secret.js';
export type {
  ListenerSettings,
  MalabarConfig,
  TlsSettings,
} from './settings.js';
export type { FastcgiDocument, HttpDocument, TargetDocument } from './target.js';
export type { RetryDocument, TopicDocument } from './topic.js';
export { formatDuration, formatSize, parseDuration } from './units.js';
