import { SERVICE_NAMES, type ServiceName } from '@malabar/core';

/** The first port of each range is that of a process of several services; one alone has its own, by its place in the list. */
const GRPC = 7400;
const OPS = 7490;

const offset = (services: readonly ServiceName[]): number =>
  services.length === 1 ? SERVICE_NAMES.indexOf(services[0] as ServiceName) + 1 : 0;

/** Where a process listens for gRPC unless its configuration says otherwise. */
export function defaultGrpcListen(services: readonly ServiceName[]): string {
  return `127.0.0.1:${GRPC + offset(services)}`;
}

/** Where a process serves metrics and health unless its configuration says otherwise. */
export function defaultOpsListen(services: readonly ServiceName[]): string {
  return `127.0.0.1:${OPS + offset(services)}`;
}
