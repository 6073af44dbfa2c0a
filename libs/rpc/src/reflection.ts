import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { BusError } from '@malabar/core';

type AddService = Server['addService'];
type Implementation = Parameters<AddService>[1];
type Stream = { emit(event: 'error', status: unknown): boolean };

/**
 * Adds gRPC reflection for the services of a descriptor set (a serialised FileDescriptorSet).
 * `guard` sees every call first and returns the status to refuse it with.
 */
export function addReflection(
  server: Server,
  options: {
    descriptors: Uint8Array;
    services: string[];
    guard: (stream: never) => object | undefined;
  },
): void {
  const { descriptors, services, guard } = options;
  // The service reads nothing but this field; proto-loader would merge the files of a package.
  const files = { fileDescriptorProtos: splitFiles(descriptors) };
  const reflection = new ReflectionService({ files } as never, { services });
  const addService: AddService = (definition, implementation) =>
    server.addService(definition, guarded(implementation, guard));
  reflection.addToServer({ addService });
}

function guarded(
  implementation: Implementation,
  guard: (stream: never) => object | undefined,
): Implementation {
  const methods = Object.entries(implementation).map(([name, handler]) => [
    name,
    (stream: Stream) => {
      const refusal = guard(stream as never);
      if (refusal) stream.emit('error', refusal);
      else (handler as unknown as (stream: Stream) => void)(stream);
    },
  ]);
  return Object.fromEntries(methods);
}

// A FileDescriptorSet is nothing but files: each a tag (field 1, bytes), a length and the file.
function splitFiles(set: Uint8Array): Buffer[] {
  const files: Buffer[] = [];
  for (let at = 0; at < set.length; ) {
    if (set[at++] !== 0x0a) throw new BusError('INVALID', 'not a protobuf descriptor set');
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = set[at++] ?? 0;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    files.push(Buffer.from(set.subarray(at, at + length)));
    at += length;
  }
  return files;
}
