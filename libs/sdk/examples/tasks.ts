// What the shop does about its events.
import { createRegistry, TaskException } from '@malabar/sdk';
import { isPaid, note } from './orders.ts';

/** What happens in the shop, and what the tasks are told of it. */
export interface ShopEvents {
  order_create: { order: number };
  order_paid: { order: number };
}

export const tasks = createRegistry<ShopEvents>();

// An order that was not paid in time is closed: ten seconds, here.
tasks.register('order_create', 'close', { delay: '10s' }, ({ order }) => {
  if (order === undefined) throw new TaskException('which order? there is no parameter `order`');
  if (!isPaid(order)) note(`order ${order} closed`);
});

// What is paid and has no weight is shipped at once.
tasks.register('order_paid', 'virtual_ship', { retry: 5 }, ({ order }) => {
  note(`order ${order} shipped virtually`);
});
