import { readFileSync } from 'node:fs';

/**
 * Every contract as a serialised FileDescriptorSet, for gRPC reflection. The file is generated into
 * src and is read from there by the sources and by dist alike: both lie beside each other.
 */
export function descriptorSet(): Buffer {
  return readFileSync(new URL('../src/gen/descriptors.binpb', import.meta.url));
}
