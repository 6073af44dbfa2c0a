import { readFileSync, truncateSync, writeFileSync } from 'node:fs';

const PAGE = 4096;

/** Ways in which a file goes bad. Each changes the bytes and says what it did. */
const WAYS: Record<string, (bytes: Buffer, random: () => number) => string> = {
  'flip a bit anywhere': (bytes, random) => flip(bytes, random() * bytes.length, random),
  'flip a bit of a page header': (bytes, random) =>
    flip(bytes, somePage(bytes, random) + random() * 24, random),
  'flip a bit of a node table': (bytes, random) =>
    flip(bytes, somePage(bytes, random) + 24 + random() * 60, random),
  'flip a bit of a beginning': (bytes, random) =>
    flip(bytes, Math.floor(random() * 2) * PAGE + random() * 168, random),
  'zero a page'(bytes, random) {
    const at = somePage(bytes, random);
    bytes.fill(0, at, at + PAGE);
    return `page ${at / PAGE}`;
  },
  'write noise'(bytes, random) {
    const at = Math.floor(random() * (bytes.length - 64));
    for (let i = 0; i < 64; i++) bytes[at + i] = random() * 256;
    return `at ${at}`;
  },
  'put a page in the place of another'(bytes, random) {
    const [from, to] = [somePage(bytes, random), somePage(bytes, random)];
    bytes.copy(bytes, to, from, from + PAGE);
    return `${from / PAGE} over ${to / PAGE}`;
  },
};

/** Damages a file in a way that depends on `random` alone; returns what was done. */
export function damage(file: string, random: () => number): string {
  const bytes = readFileSync(file);
  const names = [...Object.keys(WAYS), 'cut it'];
  const name = names[Math.floor(random() * names.length)] as string;
  const way = WAYS[name];
  if (way === undefined) {
    const size = Math.floor(random() * bytes.length);
    truncateSync(file, size);
    return `${name} to ${size}`;
  }
  const what = way(bytes, random);
  writeFileSync(file, bytes);
  return `${name}, ${what}`;
}

function somePage(bytes: Buffer, random: () => number): number {
  return Math.floor((random() * bytes.length) / PAGE) * PAGE;
}

function flip(bytes: Buffer, at: number, random: () => number): string {
  const place = Math.floor(at);
  bytes[place] = (bytes[place] as number) ^ (1 << Math.floor(random() * 8));
  return `byte ${place % PAGE} of page ${Math.floor(place / PAGE)}`;
}
