/** The services of the bus, each a folder under services/, in the order of their ports. */
export const SERVICE_NAMES = [
  'keeper',
  'ingest',
  'storage',
  'dispatcher',
  'scheduler',
  'metrics',
] as const;

export type ServiceName = (typeof SERVICE_NAMES)[number];
