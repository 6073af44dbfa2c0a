// A worker in a process of its own: worker.ts <address> <options as JSON> <queue/task>...
import { connect, createRegistry, type WorkerOptions } from '@malabar/sdk';
import { type ActParams, act } from './act.js';

const [address, options = '{}', ...paths] = process.argv.slice(2);

const registry = createRegistry<Record<string, ActParams>>();
for (const path of paths) {
  const [queue = '', task = ''] = path.split('/');
  registry.register(queue, task, act);
}
const malabar = connect({ address });
const worker = malabar.worker(registry, JSON.parse(options) as WorkerOptions);
process.once('SIGTERM', () => void worker.stop());
console.log('working');
await worker.run();
await malabar.close();
console.log('stopped');
