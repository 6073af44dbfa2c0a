import { expect, test } from 'vitest';
import { renderTable } from './table.js';

test('columns are as wide as their widest cell, numbers to the right', () => {
  const columns = [{ title: 'TOPIC' }, { title: 'READY', right: true }];
  const lines = renderTable(columns, [
    ['orders/ship', '7'],
    ['x/y', '12,345,678'],
  ]);
  expect(lines).toEqual([
    'TOPIC             READY',
    'orders/ship           7',
    'x/y          12,345,678',
  ]);
});

test('colours take no room', () => {
  const lines = renderTable([{ title: 'A' }, { title: 'B' }], [['\u001b[31mxx\u001b[39m', 'y']]);
  expect(lines).toEqual(['A   B', '\u001b[31mxx\u001b[39m  y']);
});

test('no line ends in spaces', () => {
  expect(renderTable([{ title: 'A' }, { title: '' }], [['long', '']])).toEqual(['A', 'long']);
});
