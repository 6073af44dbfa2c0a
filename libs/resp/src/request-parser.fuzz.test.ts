import { expect, test } from 'vitest';
import type { RequestLimits } from './limits.js';
import { RequestParser } from './request-parser.js';

const INPUTS = 100_000;
const CHUNK_BYTES_MAX = 4096;

const limits: RequestLimits = {
  bulkBytesMax: 64,
  commandBytesMax: 512,
  skipBytesMax: 2048,
  argsMax: 20,
};
/** Doubling: at most twice what a command may hold, or one inline line. */
const BUFFERED_BYTES_MAX = 2 * (limits.commandBytesMax + CHUNK_BYTES_MAX);

/** mulberry32: small, seeded, good enough to shuffle bytes. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const LENGTHS = ['0', '1', '3', '5', '63', '64', '65', '100', '2000', '536870912', '-1', '', 'x'];
const PIECES = [
  '*1\r\n',
  '*0\r\n',
  '*-1\r\n',
  '$',
  '\r\n',
  '\n',
  '"',
  "'",
  '\\x4',
  'PING\r\n',
  ' ',
];

function command(random: () => number): string {
  const below = (n: number) => Math.floor(random() * n);
  const count = 1 + below(5);
  let text = `*${random() < 0.05 ? LENGTHS[below(LENGTHS.length)] : count}\r\n`;
  for (let i = 0; i < count; i++) {
    const body = 'x'.repeat(below(random() < 0.1 ? 150 : 20));
    const wrong = random() < 0.03;
    text += `$${wrong ? LENGTHS[below(LENGTHS.length)] : body.length}\r\n${body}\r\n`;
  }
  return text;
}

function mutatedInput(random: () => number): Buffer {
  const below = (n: number) => Math.floor(random() * n);
  let text = '';
  const commands = 1 + below(5);
  for (let i = 0; i < commands; i++) {
    text += random() < 0.2 ? (PIECES[below(PIECES.length)] as string) : command(random);
  }
  const bytes = Buffer.from(text, 'latin1').subarray(0, CHUNK_BYTES_MAX);
  const flips = random() < 0.5 ? 0 : below(4);
  for (let i = 0; i < flips; i++) bytes[below(bytes.length)] = below(256);
  return random() < 0.2 ? bytes.subarray(0, below(bytes.length)) : bytes;
}

function read(chunks: readonly Buffer[]): string {
  const parser = new RequestParser(limits);
  let seen = '';
  for (const chunk of chunks) {
    parser.feed(chunk);
    while (parser.next()) {
      seen += `${parser.oversizeBytes}[`;
      for (let i = 0; i < parser.count; i++) seen += `${parser.argument(i).toString('latin1')}|`;
      seen += ']';
    }
    if (parser.bufferedBytes > BUFFERED_BYTES_MAX) throw new Error(`${parser.bufferedBytes} bytes`);
  }
  return seen + (parser.protocolError ?? (parser.idle ? 'idle' : 'more'));
}

function split(bytes: Buffer, random: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  const longest = 1 + Math.floor(random() * (random() < 0.5 ? 4 : 200));
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(random() * longest);
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

test(`${INPUTS} mutated inputs mean the same however they are split, and memory stays bounded`, () => {
  const first = Number(process.env.FUZZ_SEED ?? 20_260_801);
  const inputs = process.env.FUZZ_SEED ? 1 : INPUTS;
  for (let seed = first; seed < first + inputs; seed++) {
    const random = generator(seed);
    const bytes = mutatedInput(random);
    const reproduce = `FUZZ_SEED=${seed} npx vitest run libs/resp: ${JSON.stringify(bytes.toString('latin1'))}`;
    let whole: string;
    let parts: string;
    try {
      whole = read([bytes]);
      parts = read(split(bytes, random));
    } catch (thrown) {
      throw new Error(reproduce, { cause: thrown });
    }
    if (whole !== parts) expect.soft(parts, reproduce).toBe(whole);
  }
});
