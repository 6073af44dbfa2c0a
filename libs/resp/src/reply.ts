/**
 * Replies as binary strings: every character is one byte (latin1), so the replies of a whole chunk
 * join into one string and one write, which beats a buffer per reply, and bodies stay binary-safe.
 * Write them with the encoding 'latin1'.
 */
export interface ReplyEncoder {
  readonly protocol: 2 | 3;
  /** A status line. */
  simple(text: string): string;
  /** An error; `text` begins with its code, line ends in it become blanks. */
  error(text: string): string;
  integer(value: number): string;
  /** Text, sent as UTF-8. */
  bulk(text: string): string;
  /** Bytes as they are. */
  bytes(bytes: Buffer): string;
  nil(): string;
  /** Nothing where an array was expected. */
  nilArray(): string;
  /** Of replies that are encoded already. */
  array(items: readonly string[]): string;
  /** Of keys as text and values that are encoded already; in RESP2 a flat array. */
  map(entries: readonly (readonly [string, string])[]): string;
  boolean(value: boolean): string;
  double(value: number): string;
  /** Text for people; in RESP2 a bulk. */
  verbatim(text: string): string;
}

const ASCII = /^[\0-\x7f]*$/;

function binary(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

function line(text: string): string {
  return binary(text.replace(/[\r\n]+/g, ' '));
}

function binaryBulk(content: string): string {
  return `$${content.length}\r\n${content}\r\n`;
}

function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return String(value);
}

const common = {
  simple: (text: string) => `+${line(text)}\r\n`,
  error: (text: string) => `-${line(text)}\r\n`,
  integer: (value: number) => `:${value}\r\n`,
  bulk: (text: string) => binaryBulk(binary(text)),
  bytes: (bytes: Buffer) => binaryBulk(bytes.toString('latin1')),
  array: (items: readonly string[]) => `*${items.length}\r\n${items.join('')}`,
};

const resp2: ReplyEncoder = {
  ...common,
  protocol: 2,
  nil: () => '$-1\r\n',
  nilArray: () => '*-1\r\n',
  map: (entries) =>
    `*${entries.length * 2}\r\n${entries.map(([key, value]) => common.bulk(key) + value).join('')}`,
  boolean: (value) => (value ? ':1\r\n' : ':0\r\n'),
  double: (value) => common.bulk(doubleText(value)),
  verbatim: (text) => common.bulk(text),
};

const resp3: ReplyEncoder = {
  ...common,
  protocol: 3,
  nil: () => '_\r\n',
  nilArray: () => '_\r\n',
  map: (entries) =>
    `%${entries.length}\r\n${entries.map(([key, value]) => common.bulk(key) + value).join('')}`,
  boolean: (value) => (value ? '#t\r\n' : '#f\r\n'),
  double: (value) => `,${doubleText(value)}\r\n`,
  verbatim(text) {
    const content = `txt:${binary(text)}`;
    return `=${content.length}\r\n${content}\r\n`;
  },
};

/** The encoder of a protocol version; RESP2 until the client says HELLO 3. */
export function replyEncoder(protocol: 2 | 3): ReplyEncoder {
  return protocol === 3 ? resp3 : resp2;
}
