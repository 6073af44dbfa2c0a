import type { ServiceName } from './module.js';

/** Ports of processes that run one service alone; a process of several uses the first of each range. */
const ORDER: readonly ServiceName[] = [
  'keeper',
  'ingest',
  'storage',
  'dispatcher',
  'scheduler',
  'metrics',
];
const GRPC = 7400;
const OPS = 7490;

const offset = (services: readonly ServiceName[]): number =>
  services.length === 1 ? ORDER.indexOf(services[0] as ServiceName) + 1 : 0;

/** Where a process listens for gRPC unless its configuration says otherwise. */
export function defaultGrpcListen(services: readonly ServiceName[]): string {
  return `127.0.0.1:${GRPC + offset(services)}`;
}

/** Where a process serves metrics and health unless its configuration says otherwise. */
export function defaultOpsListen(services: readonly ServiceName[]): string {
  return `127.0.0.1:${OPS + offset(services)}`;
}
