export { type Access, type Binding, bind } from './binding.js';
export { type ConnectOptions, connect, type RemoteClient } from './client.js';
export type { TlsOptions, Token } from './credentials.js';
export type {
  CallContext,
  CallOptions,
  Client,
  Implementation,
  MethodDefinition,
  ServiceDefinition,
} from './definition.js';
export type { HandledCall } from './handlers.js';
export type { AddressSource } from './link.js';
export { local } from './local.js';
export type { Balancer, Candidate, Directory, Endpoint, Route } from './route.js';
export { registerScheme } from './scheme.js';
export {
  type RpcLog,
  type RpcMetrics,
  type RpcServer,
  type ServeOptions,
  serve,
} from './server.js';
