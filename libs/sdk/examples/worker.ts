// Does the shop's tasks: node worker.ts
import { connect } from '@malabar/sdk';
import { type ShopEvents, tasks } from './tasks.ts';

const malabar = connect<ShopEvents>({ address: process.env.BUS ?? '127.0.0.1:7400' });
const worker = malabar.worker(tasks);

process.once('SIGTERM', () => worker.stop());
process.once('SIGINT', () => worker.stop());

console.log('at work');
await worker.run();
await malabar.close();
