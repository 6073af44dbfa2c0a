// The shop's web page: node publish.ts order_create 7
import { connect } from '@malabar/sdk';
import { note } from './orders.ts';
import type { ShopEvents } from './tasks.ts';

const [event, order] = process.argv.slice(2) as [keyof ShopEvents, string];
const malabar = connect<ShopEvents>({ address: process.env.BUS ?? '127.0.0.1:7400' });

if (event === 'order_paid') note(`order ${order} paid`);
const params = { order: Number(order) };
const { id } = await malabar.publish(event, params, { unique: `${event}-${order}` });
console.log(id);
await malabar.close();
