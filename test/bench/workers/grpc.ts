import { dispatcher } from '@malabar/contracts';
import { Channel } from '@malabar/core';
import { connect } from '@malabar/rpc';
import { workerSide } from '../worker-process.js';

const [address = '', topic = '', capacity = '256'] = process.argv.slice(2);
const { ready, job } = workerSide();

const client = connect(dispatcher.WorkerServiceDefinition, { address });
const requests = new Channel<dispatcher.WorkRequest>();
requests.push(dispatcher.WorkRequest.fromPartial({ topic, capacity: Number(capacity) }));
ready();
for await (const { items } of client.work(requests)) {
  for (const item of items) job(item.job?.body ?? new Uint8Array());
  const done = items.map(({ leaseId }) => leaseId);
  requests.push(dispatcher.WorkRequest.fromPartial({ done }));
}
