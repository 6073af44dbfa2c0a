import type { storage } from '@malabar/contracts';
import type { Client } from '@malabar/rpc';

/** What ingest needs of storage. */
export type StorageClient = Pick<
  Client<typeof storage.StorageServiceDefinition>,
  'append' | 'fetch' | 'settle' | 'listQueues' | 'getJob' | 'openBatch' | 'closeBatch' | 'getBatch'
>;
