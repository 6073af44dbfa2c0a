import { writeSync } from 'node:fs';
import { createLmdbEngine } from '../lmdb.js';
import { step } from './steps.js';

/*
 * Commits one step after the other and prints the number of each that was acknowledged, until it is
 * killed or has done all of them.
 *
 *   commit-child.ts <folder> <steps>
 */
const [path = '', steps = '0'] = process.argv.slice(2);
const engine = createLmdbEngine({ path });
await engine.open();
for (let n = 0; n < Number(steps); n++) {
  await engine.commit(step(n));
  writeSync(1, `${n}\n`);
}
await engine.close();
