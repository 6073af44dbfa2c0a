/**
 * The layout of LMDB's file, as far as it is needed to check a file without trusting it: mdb.c of the
 * lmdb package, structs MDB_meta, MDB_db, MDB_page_header, MDB_node and MDB_ovpage, data version 2.
 * Everything is little-endian.
 */

export const META_PAGES = 2;
export const PAGE_HEADER = 24;
export const BRANCH = 0x01;
export const LEAF = 0x02;
export const OVERFLOW = 0x04;
export const META = 0x08;
/** Node flags. */
export const BIG = 0x01;
export const TREE = 0x02;

const MAGIC = 0xbeefc0de;
const VERSION = 2;
const NONE = 2n ** 64n - 1n;
const NODE_HEADER = 8;
const OVERFLOW_REFERENCE = 24;
const TREE_BYTES = 48;
const KEY_BYTES_MAX = 1978;

/** What LMDB knows about a tree. */
export interface Tree {
  flags: number;
  depth: number;
  branches: number;
  leaves: number;
  overflows: number;
  entries: number;
  /** Undefined if the tree is empty. */
  root: number | undefined;
}

/** A snapshot: where everything begins. There are two, written in turn. */
export interface Meta {
  pageSize: number;
  transaction: number;
  lastPage: number;
  free: Tree;
  main: Tree;
}

export interface PageHeader {
  page: number;
  transaction: number;
  flags: number;
  /** Bytes of the node table, behind the header. */
  lower: number;
  upper: number;
  /** Of an overflow page, in the place of lower and upper. */
  pages: number;
}

export interface Node {
  key: Buffer;
  flags: number;
  /** Of a branch. */
  child: number;
  /** Of a leaf: the value, or what tells where it is. */
  data: Buffer;
  /** Bytes of the value wherever it is. */
  size: number;
}

/** A value on pages of its own. */
export interface OverflowReference {
  page: number;
  transaction: number;
  pages: number;
}

/** A fault in a file, in words; caught and named where the file is known. */
export class Fault extends Error {}

export function readMeta(page: Buffer): Meta {
  if (page.readUInt16LE(18) !== META || page.readUInt32LE(24) !== MAGIC)
    throw new Fault('it does not begin as an LMDB file does');
  const version = page.readUInt32LE(28);
  if (version !== VERSION) throw new Fault(`it has LMDB's format ${version}, not ${VERSION}`);
  const pageSize = page.readUInt32LE(48);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0)
    throw new Fault(`its page size of ${pageSize} bytes cannot be`);
  return {
    pageSize,
    free: readTree(page, 48),
    main: readTree(page, 96),
    lastPage: number(page, 144),
    transaction: number(page, 152),
  };
}

export function readTree(from: Buffer, at: number): Tree {
  return {
    flags: from.readUInt16LE(at + 4),
    depth: from.readUInt16LE(at + 6),
    branches: number(from, at + 8),
    leaves: number(from, at + 16),
    overflows: number(from, at + 24),
    entries: number(from, at + 32),
    root: from.readBigUInt64LE(at + 40) === NONE ? undefined : number(from, at + 40),
  };
}

export function readHeader(page: Buffer): PageHeader {
  return {
    page: number(page, 0),
    transaction: number(page, 8),
    flags: page.readUInt16LE(18),
    lower: page.readUInt16LE(20),
    upper: page.readUInt16LE(22),
    pages: page.readUInt32LE(20),
  };
}

/** The nodes of a branch or leaf page in key order. Throws Fault rather than reading outside of the page. */
export function readNodes(page: Buffer, { flags, lower, upper }: PageHeader): Node[] {
  const room = page.length - PAGE_HEADER;
  if (lower % 2 !== 0 || lower > upper || upper > room) throw new Fault('its bounds cannot be');
  const nodes: Node[] = [];
  let filled = 0;
  for (let entry = 0; entry < lower; entry += 2) {
    const at = page.readUInt16LE(PAGE_HEADER + entry);
    if (at < upper || at % 2 !== 0 || at + NODE_HEADER > room)
      throw new Fault(`entry ${entry / 2} is out of place`);
    const node = readNode(page, PAGE_HEADER + at, flags === LEAF);
    nodes.push(node);
    filled += NODE_HEADER + node.key.length + node.data.length;
    filled += filled % 2;
  }
  // LMDB leaves no gaps between nodes.
  if (filled !== room - upper) throw new Fault('its entries do not fill it');
  return nodes;
}

function readNode(page: Buffer, at: number, leaf: boolean): Node {
  const low = page.readUInt32LE(at);
  const flags = page.readUInt16LE(at + 4);
  const keySize = page.readUInt16LE(at + 6);
  const keyAt = at + NODE_HEADER;
  const dataSize = leaf ? (flags === BIG ? OVERFLOW_REFERENCE : low) : 0;
  if (keySize > KEY_BYTES_MAX || keyAt + keySize + dataSize > page.length)
    throw new Fault('an entry reaches out of its page');
  if (leaf && (keySize === 0 || (flags !== 0 && flags !== BIG && flags !== TREE)))
    throw new Fault('an entry has no key or is of no known kind');
  if (leaf && flags === TREE && dataSize !== TREE_BYTES) throw new Fault('a tree has no root');
  return {
    key: page.subarray(keyAt, keyAt + keySize),
    flags,
    // On a branch the flags are the page number's highest bits.
    child: low + flags * 2 ** 32,
    data: page.subarray(keyAt + keySize, keyAt + keySize + dataSize),
    size: low,
  };
}

export function readOverflowReference({ data }: Node): OverflowReference {
  return { page: number(data, 0), transaction: number(data, 8), pages: number(data, 16) };
}

/** Pages that a value of `size` bytes takes. */
export const overflowPages = (size: number, pageSize: number): number =>
  Math.floor((PAGE_HEADER - 1 + size) / pageSize) + 1;

/**
 * The free pages that a record of the free tree lists, as [first, count]. Blocks are a negative length
 * before their first page, zero is an emptied place (an addition of the lmdb package).
 */
export function* readFreeList(list: Buffer): Generator<[page: number, count: number]> {
  const end = list.length < 8 ? Number.NaN : 8 + number(list, 0) * 8;
  if (!(end <= list.length)) throw new Fault('a list of free pages is cut short');
  for (let at = 8; at < end; at += 8) {
    const entry = Number(list.readBigInt64LE(at));
    if (entry > 0) yield [entry, 1];
    if (entry >= 0) continue;
    at += 8;
    if (at >= end) throw new Fault('a list of free pages is cut short');
    yield [number(list, at), -entry];
  }
}

/** Beyond 2^53 nothing can be right, and nothing needs to be exact. */
function number(from: Buffer, at: number): number {
  return from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 2 ** 32;
}
