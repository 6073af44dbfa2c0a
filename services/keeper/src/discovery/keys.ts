/** Names an instance; neither part has a slash. */
export interface InstanceName {
  service: string;
  id: string;
}

/** Everything below. */
export const INSTANCES = 'instance/';

/** InstanceRecord. */
export const recordKey = ({ service, id }: InstanceName): string =>
  `${INSTANCES}record/${service}/${id}`;

/** Stands as long as the lease does that the record names. */
export const aliveKey = ({ service, id }: InstanceName): string =>
  `${INSTANCES}alive/${service}/${id}`;

/** What a key is of which instance; undefined for one that is none of these. */
export function readKey(key: string): (InstanceName & { kind: 'record' | 'alive' }) | undefined {
  const [, kind, service, id] = key.split('/');
  if ((kind !== 'record' && kind !== 'alive') || !service || !id) return undefined;
  return { kind, service, id };
}
