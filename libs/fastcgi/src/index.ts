export type { FastcgiRequest } from './connection.js';
export { FastcgiError, type FastcgiErrorKind } from './error.js';
export {
  createFastcgiPool,
  type FastcgiPool,
  type FastcgiPoolOptions,
  type FastcgiPoolStats,
} from './pool.js';
export type { FastcgiResponse } from './response.js';
