import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { engineSuite } from '../engine.suite.js';
import { createLmdbEngine } from './lmdb.js';

engineSuite({
  name: 'lmdb',
  async place() {
    const path = join(tempDir('lmdb'), 'store');
    return {
      engine: () => createLmdbEngine({ path }),
      limited: (bytesMax) => createLmdbEngine({ path, bytesMax }),
      unlock: () => rmSync(join(path, 'owner')),
    };
  },
});
