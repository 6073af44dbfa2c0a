import { sync } from '@malabar/contracts';

const encoded = new WeakMap<sync.SyncResponse, Uint8Array>();

/** The bytes of a message, made once and kept with it: for one that goes to many nodes. */
export function encodeShared(message: sync.SyncResponse): Uint8Array {
  const known = encoded.get(message);
  if (known !== undefined) return known;
  const bytes = sync.SyncResponse.encode(message).finish();
  encoded.set(message, bytes);
  return bytes;
}

const { sync: method } = sync.SyncServiceDefinition.methods;

/** SyncService as the keeper serves it: a message that many nodes share is encoded once. */
export const SharedSyncDefinition: sync.SyncServiceDefinition = {
  ...sync.SyncServiceDefinition,
  methods: {
    sync: {
      ...method,
      responseType: {
        ...method.responseType,
        encode(message, writer) {
          const bytes = encoded.get(message);
          if (bytes === undefined) return method.responseType.encode(message, writer);
          return { finish: () => bytes } as ReturnType<typeof method.responseType.encode>;
        },
      },
    },
  },
};
