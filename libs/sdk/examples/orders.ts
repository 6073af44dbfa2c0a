// The shop's database, as it were: one file.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('orders.log', import.meta.url));

export function note(line: string): void {
  appendFileSync(file, `${line}\n`);
}

export function isPaid(order: number): boolean {
  return existsSync(file) && readFileSync(file, 'utf8').split('\n').includes(`order ${order} paid`);
}
