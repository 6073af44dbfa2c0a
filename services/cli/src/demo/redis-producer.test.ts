import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { connectRedis, readReply } from './redis-producer.js';

test('every kind of reply is read, and only when it is whole', () => {
  expect(readReply(Buffer.from('+OK\r\n'))).toBe('OK');
  expect(readReply(Buffer.from(':42\r\n'))).toBe(42);
  expect(readReply(Buffer.from('$5\r\nhello\r\n'))).toBe('hello');
  expect(readReply(Buffer.from('$-1\r\n'))).toBeNull();
  expect(readReply(Buffer.from('$5\r\nhell'))).toBeUndefined();
  expect(readReply(Buffer.from('+O'))).toBeUndefined();
});

test('a command goes out as an array of bulk strings, and an error reply is thrown', async () => {
  const seen: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      seen.push(chunk.toString());
      socket.write('-NOQUEUE no such queue\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const producer = await connectRedis(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  await expect(producer.send('LPUSH', 'q', 'é')).rejects.toThrow('NOQUEUE no such queue');
  expect(seen.join('')).toBe('*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$2\r\né\r\n');
  producer.close();
  server.close();
});
