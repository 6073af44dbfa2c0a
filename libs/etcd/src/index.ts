export { EtcdClient, type EtcdListing, type EtcdOptions, type ListOptions } from './client.js';
export type { EtcdChange, EtcdEntry, EtcdTransaction } from './connection.js';
export { type Follower, follow } from './follow.js';
