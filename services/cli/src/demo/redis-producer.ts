import { connect, type Socket } from 'node:net';
import { parseListenAddress } from '@malabar/core';

/** A reply as Redis means it: an error is thrown, an array is not needed here. */
export type Reply = string | number | null;

/**
 * A producer like any other: the Redis protocol over a plain socket. One command at a time, because
 * the demo wants to show each reply.
 */
export interface RedisProducer {
  /** Sends one command; throws the text of an error reply. */
  send(...words: string[]): Promise<Reply>;
  close(): void;
}

/** Connects to `host:port`. */
export async function connectRedis(address: string): Promise<RedisProducer> {
  const socket = connect(parseListenAddress(address));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return {
    send: (...words) => exchange(socket, words),
    close: () => socket.destroy(),
  };
}

function exchange(socket: Socket, words: string[]): Promise<Reply> {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join('')}`);
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      const reply = readReply(seen);
      if (reply === undefined) return;
      end();
      if (reply instanceof Error) reject(reply);
      else resolve(reply);
    };
    const onClose = (): void => {
      end();
      reject(new Error('the Redis port closed the connection'));
    };
    const end = (): void => {
      socket.off('data', onData);
      socket.off('close', onClose);
    };
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.on('error', onClose);
  });
}

/** The whole reply at the start of `bytes`; undefined if more must come. */
export function readReply(bytes: Buffer): Reply | Error | undefined {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const text = bytes.toString('utf8', 1, end);
  switch (String.fromCharCode(bytes[0] ?? 0)) {
    case '+':
      return text;
    case '-':
      return new Error(text);
    case ':':
      return Number(text);
    case '$': {
      const length = Number(text);
      if (length < 0) return null;
      const stop = end + 2 + length;
      return bytes.length < stop + 2 ? undefined : bytes.toString('utf8', end + 2, stop);
    }
    default:
      return new Error(`unexpected reply ${JSON.stringify(text)}`);
  }
}
