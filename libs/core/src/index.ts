export { reconnectDelayMs } from './backoff.js';
export { Channel } from './channel.js';
export { type Clock, every, sleep, systemClock } from './clock.js';
export {
  BusError,
  ERRORS,
  type ErrorCode,
  errorCode,
  fromFault,
  toBusError,
  toFault,
} from './errors.js';
export { frameBody, frameOffsets, joinFrames, varintLength, writeVarint } from './frames.js';
export { type JobLocation, jobId, parseJobId } from './job-id.js';
export { KeepAlive } from './keep-alive.js';
export {
  formatListenAddress,
  isLoopback,
  isWildcard,
  type ListenAddress,
  parseListenAddress,
} from './listen-address.js';
export { CLOSED_HASH, hashPassword, isPasswordHash, verifyPassword } from './password.js';
export { SERVICE_NAMES, type ServiceName } from './services.js';
