export { type WatchOptions, watchBusConfig } from './config-watch.js';
export {
  type Module,
  type ModuleContext,
  type RunningModule,
  type ServiceName,
  startOrder,
} from './module.js';
export { defaultGrpcListen, defaultOpsListen } from './ports.js';
export { type RunningProcess, type StartOptions, start } from './process.js';
