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
export {
  DiscoveryClient,
  type DiscoveryClientOptions,
  type InstanceToRegister,
} from './discovery/discovery-client.js';
export { PolicyBalancer, type PolicyBalancerOptions } from './discovery/policy-balancer.js';
export type { Registration } from './discovery/registration.js';
export type { Picked } from './discovery/service-picker.js';
export type { Campaign, CampaignOptions } from './election/campaign.js';
export {
  ElectionClient,
  type ElectionClientOptions,
  type LockOptions,
} from './election/election-client.js';
export type { KeeperClientLog } from './log.js';
