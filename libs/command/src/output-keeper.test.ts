import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { OutputKeeper } from './output-keeper.js';

test('a short output is kept as it is', () => {
  const keeper = new OutputKeeper(16);
  keeper.push(Buffer.from('hello '));
  keeper.push(Buffer.from('world'));
  expect(keeper.text()).toBe('hello world');
});

test('whatever the chunks, the first and the last bytes are kept and the rest is counted', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 300; round++) {
    const bytesMax = 2 + Math.floor(random() * 40);
    const keeper = new OutputKeeper(bytesMax);
    let all = '';
    for (let chunk = 0; chunk < random() * 12; chunk++) {
      const text = Array.from({ length: Math.floor(random() * 30) }, () =>
        String.fromCharCode(97 + Math.floor(random() * 26)),
      ).join('');
      keeper.push(Buffer.from(text));
      all += text;
    }
    const head = Math.floor(bytesMax / 2);
    const tail = bytesMax - head;
    const missing = all.length - bytesMax;
    const expected =
      missing <= 0
        ? all
        : `${all.slice(0, head)}\n[... ${missing} bytes are left out here ...]\n${all.slice(-tail)}`;
    expect(keeper.text()).toBe(expected);
    expect(keeper.total).toBe(all.length);
  }
});
