export { type KeeperClient, type KeeperClientOptions, openKeeperClient } from './client.js';
export { ChangeSet, type ValueChange } from './config/changes.js';
export type { ConfigClient, ConfigSubscription } from './config/config-client.js';
export type { SubscribeOptions } from './config/follower.js';
export type { SnapshotKey } from './config/snapshot.js';
export type { ConfigValue } from './config/values.js';
export { type ConfigSource, EffectiveView } from './config/view.js';
export {
  type ConnectionOptions,
  connectKeeper,
  type KeeperServices,
  stayConnected,
} from './connection.js';
export type { KeeperClientLog } from './log.js';
