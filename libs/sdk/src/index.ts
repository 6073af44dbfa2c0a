export {
  type ConnectOptions,
  type CreateTopicsOptions,
  connect,
  type EventOf,
  type Malabar,
  type TlsOptions,
} from './connect.js';
export type { Duration } from './duration.js';
export { MalabarError, PublishError, RegistrationError } from './errors.js';
export {
  AlreadyRunningException,
  RetryException,
  TaskException,
  UnknownTaskException,
} from './exceptions.js';
export { idempotent, type Once, type OnceOptions } from './idempotent/idempotent.js';
export { memoryStore } from './idempotent/memory-store.js';
export { redisStore } from './idempotent/redis-store.js';
export type { Store } from './idempotent/store.js';
export type { Log } from './log.js';
export type { Batch, BatchNext, BatchOptions, BatchStatus } from './publish/batch-options.js';
export type { EventToPublish, Published, PublishOptions } from './publish/options.js';
export { PublishAllError, type Refusal } from './publish/publish-all-error.js';
export type { ResultOptions, RetryOptions, TaskOptions } from './tasks/options.js';
export { createRegistry, type Handler, type Registry, type Topic } from './tasks/registry.js';
export type { Job } from './worker/job.js';
export type { Worker, WorkerOptions } from './worker/worker.js';
