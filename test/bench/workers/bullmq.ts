import { Worker } from 'bullmq';
import { workerSide } from '../worker-process.js';

const [port = '', queue = '', concurrency = '50'] = process.argv.slice(2);
const { ready, job } = workerSide();

const worker = new Worker(queue, async ({ data }) => job(Buffer.from(data.body, 'latin1')), {
  connection: { host: '127.0.0.1', port: Number(port) },
  concurrency: Number(concurrency),
  removeOnComplete: { count: 0 },
});
await worker.waitUntilReady();
ready();
