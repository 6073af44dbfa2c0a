export type { OnBusConfig } from './bus-config.js';
export type { KeeperStatus } from './keeper-link.js';
export {
  type Module,
  type ModuleContext,
  type RunningModule,
  startOrder,
} from './module.js';
export { defaultGrpcListen, defaultOpsListen } from './ports.js';
export { type RunningProcess, type StartOptions, start } from './process.js';
export { type ProcessNote, readProcessNotes } from './process-note.js';
