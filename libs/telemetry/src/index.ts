export { createLogger, type Logger, type LoggerOptions } from './logger.js';
export {
  type Counter,
  createMetrics,
  type Gauge,
  type GaugeOptions,
  type Histogram,
  type Metrics,
  type Registry,
} from './metrics.js';
export { type OpsOptions, type OpsServer, serveOps } from './ops-server.js';
